const REALM_CHARS_MAX = 2048;

/** Token services that live on another host than their registry. For others the operator says so. */
const TOKEN_HOSTS: Readonly<Record<string, string>> = {
  'docker.io': 'auth.docker.io',
  'index.docker.io': 'auth.docker.io',
  'registry-1.docker.io': 'auth.docker.io',
  'registry.gitlab.com': 'gitlab.com',
};

/** A token service that an origin names. */
export interface Realm {
  readonly url: URL;
  /** It may be shown the agent's credential. Any other is asked for the tokens that everyone gets, and nothing else. */
  readonly isTrusted: boolean;
}

/** The hosts besides its own that tokens of an origin come from, as far as that is known or said. */
export function tokenHosts(origin: URL, trusted: readonly string[]): readonly string[] {
  const known = TOKEN_HOSTS[origin.hostname];
  return known === undefined ? trusted : [known, ...trusted];
}

/** What may be asked for tokens. Undefined when nothing may be sent there at all. */
export function checkedRealm(text: string, origin: URL, trusted: readonly string[]): Realm | undefined {
  const url = text.length <= REALM_CHARS_MAX ? URL.parse(text) : null;
  if (!url || url.username || url.password || url.hash) return undefined;
  const isOwnHost = url.hostname === origin.hostname;
  const isPlainToItself = url.protocol === 'http:' && origin.protocol === 'http:' && isOwnHost;
  if (url.protocol !== 'https:' && !isPlainToItself) return undefined;
  return {
    url,
    isTrusted: isOwnHost || tokenHosts(origin, trusted).includes(url.hostname),
  };
}
