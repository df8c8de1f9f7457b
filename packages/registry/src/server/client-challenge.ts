import { type Failure, type Repository, repositoryKey } from '@drayage/core';
import { type Actions, challengeWords, type Demand, withScope } from '../origin/demand.ts';
import type { GatedOrigins } from '../origin/types.ts';
import type { Asked, Visitor } from './client-credential.ts';
import { demanding } from './errors.ts';
import type { Policies } from './policy.ts';

/** What the token realm calls itself to clients that write the origin into the path. */
const OWN_SERVICE = 'drayage';

/** Tells clients how to show a credential: to the origin's own token service, or to ours where they would not find it. */
export interface Challenges {
  /** The failure that asks for a credential. `demand` is how the origin wants to be shown one. */
  for(asked: Asked, demand: Demand, what: { readonly actions: Actions; readonly error?: string }): Failure;
  /** What `GET /v2/` is refused with; undefined when it need not be. */
  forPing(visitor: Visitor, signal: AbortSignal): Promise<Failure | undefined>;
}

/** Clients that write the origin into the path, since they have no other way. They look for a challenge only at `/v2/`. */
const BY_PATH_CLIENT = /^(?:containers|skopeo|buildah|cri-o|libpod|podman)\//i;
/** dockerd by its mirrors. A name in place of an address is what people write before the name of an image. */
const ADDRESS = /^(?:[0-9.]+|\[[0-9a-f:.]+\])(?::\d+)?$/i;

export interface ChallengeParts {
  readonly origins: GatedOrigins;
  readonly policies: Policies;
  readonly defaultOrigin: string;
}

export function challengesBy({ origins, policies, defaultOrigin }: ChallengeParts): Challenges {
  return {
    for({ repository, visitor }, demand, { actions, error }) {
      const words =
        visitor.isByPath || demand.scheme === 'basic'
          ? ownWords(visitor, visitor.isByPath ? OWN_SERVICE : repository.origin, { actions, error })
          : challengeWords(withScope(demand, repository.path, actions), error);
      return demanding(messageFor(repository, error), words);
    },
    async forPing(visitor, signal) {
      const asking = policies.asking();
      if (BY_PATH_CLIENT.test(visitor.userAgent) || !ADDRESS.test(visitor.host)) {
        return asking.length === 0
          ? undefined
          : demanding('a credential is needed here', ownWords(visitor, OWN_SERVICE));
      }
      if (!asking.includes(defaultOrigin)) return undefined;
      const demand = await origins.gate(defaultOrigin).demand(signal);
      if (!demand) return undefined;
      const words = demand.scheme === 'basic' ? ownWords(visitor, defaultOrigin) : challengeWords(demand, undefined);
      return demanding(`${defaultOrigin} asks for a credential`, words);
    },
  };
}

/** The realm is named as the client names us: others would be sent no credential, or not be reached. */
function ownWords(
  { host, name }: Visitor,
  service: string,
  { actions, error }: { readonly actions?: Actions; readonly error?: string | undefined } = {},
): string {
  const scope = name === '' || actions === undefined ? '' : `,scope="repository:${name}:${actions}"`;
  const why = error === undefined ? '' : `,error="${error}"`;
  return `Bearer realm="http://${host}/token",service="${service}"${scope}${why}`;
}

function messageFor(repository: Repository, error: string | undefined): string {
  const key = repositoryKey(repository);
  return error === undefined ? `${key} asks for a credential` : `${key}: the credential is over or not known`;
}
