import { type Digest, Failure, parseDigest, type Repository } from '@drayage/core';

/** What a client wants done with an upload. */
export type UploadStep =
  /** With a digest, the whole blob comes with it; `mount` may save sending it. */
  | { readonly verb: 'begin'; readonly digest: Digest | undefined; readonly mount: Mount | undefined }
  | { readonly verb: 'append' | 'ask' | 'cancel'; readonly session: string }
  | { readonly verb: 'finish'; readonly session: string; readonly digest: Digest };

export interface Mount {
  readonly digest: Digest;
  /** Another repository of the same origin; undefined when the origin is to find one. */
  readonly from: string | undefined;
}

export interface UploadTarget {
  readonly kind: 'upload';
  readonly repository: Repository;
  /** The path of the repository's blobs, as the client writes it. */
  readonly place: string;
  readonly step: UploadStep;
}

const UPLOADS = /^(\/v2\/(.+)\/blobs)\/uploads(?:\/([^/]*))?$/;
const SESSION = /^[A-Za-z0-9_-]{22}$/;
const VERBS: { readonly [method: string]: 'append' | 'ask' | 'cancel' } = {
  PATCH: 'append',
  GET: 'ask',
  DELETE: 'cancel',
};

/** Reads a request about an upload. Undefined when it is none; throws what the client is to be told. */
export function parseUpload(
  method: string,
  path: string,
  query: URLSearchParams,
  repositoryOf: (name: string) => Repository,
): UploadTarget | undefined {
  const [, place, name, session = ''] = UPLOADS.exec(path) ?? [];
  if (place === undefined || name === undefined) return undefined;
  const verb = VERBS[method];
  const isBegin = session === '' && method === 'POST';
  const isStep = session !== '' && (method === 'PUT' || verb !== undefined);
  if (!isBegin && !isStep) return undefined;
  const repository = repositoryOf(name);
  const made = (step: UploadStep): UploadTarget => ({ kind: 'upload', repository, place, step });
  if (isBegin) {
    return made({
      verb: 'begin',
      digest: query.has('digest') ? digestIn(query) : undefined,
      mount: mountIn(query, repository, repositoryOf),
    });
  }
  if (!SESSION.test(session)) throw new Failure('upload_unknown', 'there is no such upload');
  return made(verb === undefined ? { verb: 'finish', session, digest: digestIn(query) } : { verb, session });
}

function digestIn(query: URLSearchParams): Digest {
  const [text = '', ...more] = query.getAll('digest');
  const digest = more.length === 0 ? parseDigest(text) : undefined;
  if (!digest) throw new Failure('digest_invalid', 'the upload needs one digest, sha256 or sha512');
  return digest;
}

/** What cannot be mounted is uploaded: a client is ready for that. */
function mountIn(
  query: URLSearchParams,
  { origin }: Repository,
  repositoryOf: (name: string) => Repository,
): Mount | undefined {
  const digest = parseDigest(query.get('mount') ?? '');
  if (!digest) return undefined;
  const name = query.get('from');
  if (name === null) return { digest, from: undefined };
  try {
    const from = repositoryOf(name);
    return from.origin === origin ? { digest, from: from.path } : undefined;
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}
