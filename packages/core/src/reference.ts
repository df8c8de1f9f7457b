import { type Digest, parseDigest } from './digest.ts';
import { Failure } from './failure.ts';

/** A repository of an origin, such as library/busybox of docker.io. */
export interface Repository {
  /** The origin's name on the allow-list: `docker.io`, `registry.example.com:5000`. */
  readonly origin: string;
  /** The repository's path at the origin, without the origin. */
  readonly path: string;
}

/** What a person types to name an image. */
export interface Reference {
  readonly repository: Repository;
  /** At least one of the two is there; the digest wins. */
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

export const NAME_CHARS_MAX = 255;
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const ORIGIN =
  /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$/;

export function isRepositoryPath(text: string): boolean {
  return text.length <= NAME_CHARS_MAX && NAME.test(text);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** Whether the text can name an origin: a lower-case host with an optional port. */
export function isOriginName(text: string): boolean {
  return text.length <= NAME_CHARS_MAX && ORIGIN.test(text);
}

/** One string per repository, for maps and records: `docker.io/library/busybox`. */
export function repositoryKey({ origin, path }: Repository): string {
  return `${origin}/${path}`;
}

/** Reads `busybox`, `ghcr.io/team/app:1` or `host:5000/app@sha256:…` as docker would; Docker's short names get `library/`. */
export function parseReference(text: string, defaultOrigin: string): Reference {
  const invalid = (why: string) =>
    new Failure('name_invalid', `"${text.slice(0, NAME_CHARS_MAX)}" is no image reference: ${why}`);
  const [beforeDigest = '', digestText, ...more] = text.split('@');
  const digest = digestText === undefined ? undefined : parseDigest(digestText);
  if (more.length > 0 || (digestText !== undefined && !digest)) throw invalid('the digest is malformed');

  const slash = beforeDigest.indexOf('/');
  const first = beforeDigest.slice(0, slash);
  const hasOrigin = slash > 0 && (/[.:[]/.test(first) || first === 'localhost');
  const origin = hasOrigin ? first : defaultOrigin;
  const rest = hasOrigin ? beforeDigest.slice(slash + 1) : beforeDigest;
  const colon = rest.lastIndexOf(':');
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  const name = colon < 0 ? rest : rest.slice(0, colon);
  const path = origin === 'docker.io' && !name.includes('/') ? `library/${name}` : name;

  if (!isOriginName(origin)) throw invalid('the registry name is malformed');
  if (!isRepositoryPath(path)) throw invalid('the repository name is malformed');
  if (tag !== undefined && !isTag(tag)) throw invalid('the tag is malformed');
  return { repository: { origin, path }, tag: tag ?? (digest ? undefined : 'latest'), digest };
}
