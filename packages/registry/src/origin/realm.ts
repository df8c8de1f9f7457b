const REALM_CHARS_MAX = 2048;

/** Token services that live on another host than their registry. Every other registry must use its own host. */
const TOKEN_HOSTS: Readonly<Record<string, string>> = {
  'docker.io': 'auth.docker.io',
  'index.docker.io': 'auth.docker.io',
  'registry-1.docker.io': 'auth.docker.io',
  'registry.gitlab.com': 'gitlab.com',
};

/** Where tokens for this origin may be asked for. Undefined when a credential must not go there. */
export function allowedRealm(realm: string, origin: URL): URL | undefined {
  const url = realm.length <= REALM_CHARS_MAX ? URL.parse(realm) : null;
  if (!url || url.username || url.password || url.hash) return undefined;
  const isOwnHost = url.hostname === origin.hostname;
  if (!isOwnHost && url.hostname !== TOKEN_HOSTS[origin.hostname]) return undefined;
  if (url.protocol === 'https:') return url;
  return url.protocol === 'http:' && origin.protocol === 'http:' && isOwnHost ? url : undefined;
}
