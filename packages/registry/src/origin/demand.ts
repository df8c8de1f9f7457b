import type { Challenge } from './challenge.ts';
import type { Realm } from './realm.ts';

/** A challenge that may be answered: how an origin wants to be shown a credential. */
export type Demand =
  | { readonly scheme: 'basic' }
  | {
      readonly scheme: 'bearer';
      readonly realm: Realm;
      readonly service: string | undefined;
      readonly scopes: readonly string[];
    };

/** What somebody wants to do with a repository, as token services write it. */
export type Actions = 'pull' | 'pull,push';

const BARE_SCOPE = /^[a-z][a-z0-9-]{0,63}$/;
const PULL_SCOPE = /^repository(?:\([a-z]{1,32}\))?:[a-z0-9._/-]{1,255}:pull$/;
const SCOPES_MAX = 4;

/** The first challenge that may be answered, tokens before passwords. Without a repository, for the origin as a whole. */
export function demandOf(
  challenges: readonly Challenge[],
  check: (realm: string) => Realm | undefined,
  repository: string | undefined,
): Demand | undefined {
  for (const challenge of challenges) {
    if (challenge.scheme !== 'bearer') continue;
    const realm = check(challenge.realm);
    const { service } = challenge;
    if (realm) return { scheme: 'bearer', realm, service, scopes: scopesOf(challenge.scope, repository, 'pull') };
  }
  return challenges.find(({ scheme }) => scheme === 'basic') && { scheme: 'basic' };
}

/** The same demand, for another repository. */
export function withScope(demand: Demand, repository: string, actions: Actions = 'pull'): Demand {
  if (demand.scheme === 'basic') return demand;
  return { ...demand, scopes: scopesOf(bareScopes(demand).join(' '), repository, actions) };
}

/** The scopes that name no repository: some origins want one with every token. */
export function bareScopes(demand: Demand): readonly string[] {
  return demand.scheme === 'basic' ? [] : demand.scopes.filter((scope) => BARE_SCOPE.test(scope));
}

/** What the origin asks for, as far as it is a right to pull, and always the right to this repository. */
function scopesOf(asked: string | undefined, repository: string | undefined, actions: Actions): readonly string[] {
  const sane = (asked ?? '').split(' ').filter((scope) => BARE_SCOPE.test(scope) || PULL_SCOPE.test(scope));
  const own = repository === undefined ? [] : [`repository:${repository}:${actions}`];
  return [...new Set([...own, ...sane.slice(0, SCOPES_MAX)])];
}

/** The challenge in our own words: only what was understood and allowed is repeated to a client. */
export function challengeWords(demand: Demand, error: string | undefined): string {
  if (demand.scheme === 'basic') return 'Basic realm="registry"';
  const quoted = (name: string, value: string | undefined) =>
    value === undefined || /["\\]/.test(value) ? [] : [`${name}="${value}"`];
  const parameters = [
    ...quoted('realm', demand.realm.url.href),
    ...quoted('service', demand.service),
    ...quoted('scope', demand.scopes.join(' ') || undefined),
    ...quoted('error', error),
  ];
  return `Bearer ${parameters.join(',')}`;
}

/** Why the origin does not take the credential that it was shown, in its own word. */
export function errorOf(challenges: readonly Challenge[]): string | undefined {
  const errors = challenges.flatMap((challenge) => (challenge.scheme === 'bearer' ? (challenge.error ?? []) : []));
  return errors[0] !== undefined && /^[a-z_]{1,32}$/.test(errors[0]) ? errors[0] : undefined;
}
