import {
  type Digest,
  Failure,
  isOriginName,
  isRepositoryPath,
  isTag,
  parseDigest,
  type Repository,
} from '@drayage/core';
import { parseUpload, type UploadTarget } from './push-target.ts';

/** What a client asks of the registry, understood once. */
export type Target =
  | { readonly kind: 'ping' }
  /** A client wants a token. */
  | { readonly kind: 'token' }
  | { readonly kind: 'manifest'; readonly repository: Repository; readonly reference: ManifestReference }
  | { readonly kind: 'blob'; readonly repository: Repository; readonly digest: Digest }
  | { readonly kind: 'tags'; readonly repository: Repository; readonly query: string }
  | { readonly kind: 'referrers'; readonly repository: Repository; readonly digest: Digest; readonly query: string }
  | UploadTarget
  | PutTarget;

/** A manifest that a client pushes. */
export interface PutTarget {
  readonly kind: 'put';
  readonly repository: Repository;
  readonly reference: ManifestReference;
  /** The path of the repository's manifests, as the client writes it. */
  readonly place: string;
}

export type ManifestReference = { readonly tag: string } | { readonly digest: Digest };

/** What the agent knows about the names that a request may use. */
export interface Names {
  readonly defaultOrigin: string;
  isOrigin(name: string): boolean;
  isOwn(name: string): boolean;
  /** The origin that the client takes us for: then no part of the request names another. */
  readonly meant?: string | undefined;
}

const PATH_CHARS_MAX = 1024;
const QUERY_VALUE_CHARS_MAX = 512;
const PATH = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/;
const PAGE_KEYS = ['n', 'last', 'artifactType'];

/** Reads the target of a request as it stands, without decoding. Throws what the client is to be told. */
export function parseTarget(method: string, target: string, names: Names): Target {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
  if (path.length > PATH_CHARS_MAX) throw new Failure('name_invalid', 'the path is too long');
  if (path.includes('%')) throw new Failure('name_invalid', 'the path must not be percent-encoded');
  if (path === '/token' && (method === 'GET' || method === 'POST')) return { kind: 'token' };
  const repositoryOf = (name: string) => chooseRepository(name, query.getAll('ns'), names);
  const upload = parseUpload(method, path, query, repositoryOf);
  if (upload) return upload;
  const [, name = '', kind, last = ''] = PATH.exec(path) ?? [];
  if (method === 'PUT' && kind === 'manifests') {
    const place = path.slice(0, -last.length - 1);
    return { kind: 'put', repository: repositoryOf(name), reference: parseManifestReference(last), place };
  }
  if (method !== 'GET' && method !== 'HEAD') throw new Failure('unsupported', `${method} is not supported here`);
  if (path === '/v2/' || path === '/v2') return { kind: 'ping' };
  if (kind === undefined || (kind === 'tags' && last !== 'list')) throw new Failure('name_unknown', 'no such path');
  const repository = repositoryOf(name);
  if (kind === 'tags') return { kind, repository, query: pageQuery(query) };
  if (kind === 'manifests') return { kind: 'manifest', repository, reference: parseManifestReference(last) };
  const digest = checkedDigest(last);
  if (kind === 'blobs') return { kind: 'blob', repository, digest };
  return { kind: 'referrers', repository, digest, query: pageQuery(query) };
}

/** The name of the repository as the request spells it, and whether it begins with the origin. */
export function spellingOf(
  target: string,
  { path }: Repository,
  place?: string,
): { readonly name: string; readonly isByPath: boolean } {
  const mark = target.indexOf('?');
  // A push knows it: `/v2/NAME/blobs`.
  const pushed = place?.slice('/v2/'.length, place.lastIndexOf('/'));
  const name = pushed ?? PATH.exec(mark < 0 ? target : target.slice(0, mark))?.[1] ?? '';
  // What was left out of the spelling, `library/` of Docker Hub, is shorter than any name of an origin that has it.
  const isByPath = namespaceOf(target) === undefined && name.length > path.length;
  return { name, isByPath };
}

/** The value of `ns`, to be echoed. Undefined when there is none or it is no name. */
export function namespaceOf(target: string): string | undefined {
  const mark = target.indexOf('?');
  const ns = mark < 0 ? undefined : new URLSearchParams(target.slice(mark + 1)).get('ns');
  return ns && isOriginName(ns) ? ns : undefined;
}

/** The parts of a query that page through a list: nothing else travels to an origin. */
export function pageQuery(query: URLSearchParams): string {
  const kept = new URLSearchParams();
  for (const key of PAGE_KEYS) {
    const value = query.get(key);
    if (value === null) continue;
    if (value.length > QUERY_VALUE_CHARS_MAX || (key === 'n' && !/^\d{1,6}$/.test(value))) {
      throw new Failure('name_invalid', `the query parameter ${key} is malformed`);
    }
    kept.set(key, value);
  }
  return kept.toString();
}

/** The origin is what `ns` says, else what the first component of the path spells, else the default. */
export function chooseRepository(name: string, namespaces: readonly string[], names: Names): Repository {
  if (names.meant !== undefined) return repositoryOf(names.meant, name);
  const [namespace, ...more] = namespaces;
  if (more.length > 0) throw new Failure('name_invalid', 'the query names more than one ns');
  const slash = name.indexOf('/');
  const first = slash < 0 ? name : name.slice(0, slash);
  const rest = slash < 0 ? '' : name.slice(slash + 1);
  const spelled = spelledOrigin(first, names);
  const origin = namespace?.toLowerCase() ?? spelled ?? names.defaultOrigin;
  if (!isOriginName(origin)) throw new Failure('name_invalid', 'the name of the origin is malformed');
  const path = spelled === origin ? rest : name;
  if (path === '') throw new Failure('name_unknown', `a repository is missing after ${origin}`);
  const repository = repositoryOf(origin, path);
  if (names.isOwn(origin)) throw new Failure('name_unknown', `${origin} is this agent itself, not an origin`);
  if (!names.isOrigin(origin)) throw unknownOrigin(origin);
  return repository;
}

function repositoryOf(origin: string, path: string): Repository {
  if (!isRepositoryPath(path)) throw new Failure('name_invalid', 'the repository name is malformed');
  return { origin, path: origin === 'docker.io' && !path.includes('/') ? `library/${path}` : path };
}

/** A path component cannot hold a port, so clients write `host_5000`. */
function spelledOrigin(component: string, names: Names): string | undefined {
  const ported = component.replace(/_(\d{1,5})$/, ':$1');
  const isHost = component.includes('.') || ported !== component || component === 'localhost';
  return isHost || names.isOrigin(component) ? ported : undefined;
}

function unknownOrigin(origin: string): Failure {
  const how = `start the agent with --origin ${origin}=https://${origin} or add it under origins: in the config file`;
  return new Failure('name_unknown', `${origin} is no origin of this agent: ${how}`);
}

function parseManifestReference(text: string): ManifestReference {
  if (text.includes(':')) return { digest: checkedDigest(text) };
  if (!isTag(text)) throw new Failure('manifest_unknown', 'the tag is malformed');
  return { tag: text };
}

function checkedDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (!digest)
    throw new Failure('digest_invalid', 'the digest must be sha256 or sha512 with its exact hexadecimal length');
  return digest;
}
