import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { appendFile, rename, writeFile } from 'node:fs/promises';
import {
  type BlobFacts,
  type Catalog,
  type Digest,
  describe,
  type KnownFacts,
  parseDigest,
  type Report,
} from '@drayage/core';

const DIGESTS_MAX = 200_000;
const REPOSITORIES_PER_BLOB_MAX = 64;
const TAGS_MAX = 50_000;
const PUBLIC_MAX = 20_000;
const FILE_BYTES_MAX = 256 * 1024 * 1024;
const FLUSH_EVERY_MS = 1000;
const PENDING_LINES_MAX = 100_000;
const REWRITE_LINES_MIN = 10_000;
const USE_NOTED_EVERY_MS = 600_000;

/** The lines of the file. Each stands alone, so a torn one costs itself only. */
type Line =
  | { readonly blob: Digest; readonly repository: string; readonly mediaType?: string; readonly size?: number }
  | { readonly used: Digest; readonly at: number }
  | { readonly tag: string; readonly repository: string; readonly digest: Digest; readonly at: number }
  | { readonly public: string; readonly at: number };

interface Known {
  readonly repositories: Set<string>;
  mediaType: string | undefined;
  /** Undefined until told; a conflict between tellers leaves it unknown for good. */
  size: number | 'disputed' | undefined;
  usedAt: number;
  usedNotedAt: number;
}

/** The catalog over its file; `use` and `usedAt` are the store's own. */
export interface OwnCatalog extends Catalog, AsyncDisposable {
  use(digest: Digest): void;
  usedAt(digest: Digest): number | undefined;
}

interface Tables {
  readonly blobs: Map<Digest, Known>;
  readonly tags: Map<string, { repository: string; tag: string; digest: Digest; seenAt: number }>;
  readonly public: Map<string, number>;
}

/** Reads what an earlier process left, and appends to it as it learns. A file that cannot be written costs only memory of it. */
export async function openCatalog(path: string, report: Report, now: () => number): Promise<OwnCatalog> {
  const tables: Tables = { blobs: new Map(), tags: new Map(), public: new Map() };
  const lines = readLines(path);
  for (const line of lines) apply(tables, line);
  const log = startLog(path, report, { lines: lines.length, snapshot: () => snapshot(tables) });

  const remember = (line: Line) => {
    apply(tables, line);
    log.append(line);
  };
  return {
    ...blobFacts(tables, remember, now),
    ...tagFacts(tables, remember, now),
    rememberPublic: (repository) => remember({ public: repository, at: now() }),
    recallPublic: (repository) => tables.public.get(repository),
    forgetPublic: (repository) => remember({ public: repository, at: 0 }),
    [Symbol.asyncDispose]: () => log.close(),
  };
}

type BlobSide = Pick<OwnCatalog, 'note' | 'belongs' | 'facts' | 'use' | 'usedAt'>;

function blobFacts({ blobs }: Tables, remember: (line: Line) => void, now: () => number): BlobSide {
  return {
    note(digest, { repository, mediaType, size }: BlobFacts) {
      const known = blobs.get(digest);
      const isNews =
        !known?.repositories.has(repository) ||
        (mediaType !== undefined && known.mediaType === undefined) ||
        (size !== undefined && known.size !== size && known.size !== 'disputed');
      if (isNews)
        remember({ blob: digest, repository, ...(mediaType && { mediaType }), ...(size !== undefined && { size }) });
    },
    belongs: (digest, repository) => blobs.get(digest)?.repositories.has(repository) ?? false,
    facts(digest): KnownFacts | undefined {
      const known = blobs.get(digest);
      if (!known) return undefined;
      const size = known.size === 'disputed' ? undefined : known.size;
      return { repositories: [...known.repositories], mediaType: known.mediaType, size };
    },
    use(digest) {
      const at = now();
      const known = blobs.get(digest);
      if (known && at - known.usedNotedAt < USE_NOTED_EVERY_MS) known.usedAt = at;
      else remember({ used: digest, at });
    },
    usedAt: (digest) => blobs.get(digest)?.usedAt || undefined,
  };
}

type TagSide = Pick<Catalog, 'rememberTag' | 'recallTag' | 'tags'>;

function tagFacts({ tags }: Tables, remember: (line: Line) => void, now: () => number): TagSide {
  return {
    rememberTag: (repository, tag, digest) => remember({ tag, repository, digest, at: now() }),
    recallTag: (repository, tag) => tags.get(`${repository}:${tag}`),
    tags: () => [...tags.values()],
  };
}

function apply(tables: Tables, line: Line): void {
  if ('blob' in line) {
    const known = knownOf(tables, line.blob);
    if (known.repositories.size < REPOSITORIES_PER_BLOB_MAX) known.repositories.add(line.repository);
    known.mediaType ??= line.mediaType;
    if (line.size !== undefined)
      known.size = known.size === undefined || known.size === line.size ? line.size : 'disputed';
  } else if ('used' in line) {
    const known = knownOf(tables, line.used);
    known.usedAt = known.usedNotedAt = line.at;
  } else if ('tag' in line) {
    const { repository, tag, digest, at } = line;
    put(tables.tags, `${repository}:${tag}`, { repository, tag, digest, seenAt: at }, TAGS_MAX);
  } else if (line.at === 0) tables.public.delete(line.public);
  else put(tables.public, line.public, line.at, PUBLIC_MAX);
}

function knownOf({ blobs }: Tables, digest: Digest): Known {
  const known = blobs.get(digest) ?? {
    repositories: new Set(),
    mediaType: undefined,
    size: undefined,
    usedAt: 0,
    usedNotedAt: 0,
  };
  put(blobs, digest, known, DIGESTS_MAX);
  return known;
}

/** Sets as the youngest; the oldest goes when there are too many. */
function put<Key, Value>(table: Map<Key, Value>, key: Key, value: Value, most: number): void {
  table.delete(key);
  table.set(key, value);
  for (const oldest of table.keys()) {
    if (table.size <= most) return;
    table.delete(oldest);
  }
}

function snapshot({ blobs, tags, public: repositories }: Tables): Line[] {
  const lines: Line[] = [];
  for (const [blob, { repositories: seen, mediaType, size, usedAt }] of blobs) {
    for (const repository of seen) {
      lines.push({ blob, repository, ...(mediaType && { mediaType }), ...(typeof size === 'number' && { size }) });
    }
    if (usedAt > 0) lines.push({ used: blob, at: usedAt });
  }
  for (const { tag, repository, digest, seenAt } of tags.values()) lines.push({ tag, repository, digest, at: seenAt });
  for (const [repository, at] of repositories) lines.push({ public: repository, at });
  return lines;
}

interface Log {
  append(line: Line): void;
  close(): Promise<void>;
}

interface Kept {
  /** How many lines the file has. */
  readonly lines: number;
  /** What the file must say at least. */
  readonly snapshot: () => readonly Line[];
}

/** Appends in the background, and writes the file anew when most of its lines have been overtaken by younger ones. */
function startLog(path: string, report: Report, { lines, snapshot }: Kept): Log {
  let pending: string[] = [];
  let writing: Promise<void> = Promise.resolve();
  let written = lines;
  let rewriteAt = Math.max(REWRITE_LINES_MIN, 2 * lines);
  const timer = setInterval(() => flush(), FLUSH_EVERY_MS).unref();

  function flush(): void {
    if (pending.length === 0) return;
    const text = `${pending.join('\n')}\n`;
    written += pending.length;
    pending = [];
    writing = writing
      .then(() => (written > rewriteAt ? rewrite() : appendFile(path, text, { mode: 0o600 })))
      .catch(complain);
  }
  async function rewrite(): Promise<void> {
    const all = snapshot();
    written = all.length;
    rewriteAt = Math.max(REWRITE_LINES_MIN, 2 * written);
    await writeFile(`${path}.new`, all.map((line) => `${JSON.stringify(line)}\n`).join(''), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }
  function complain(error: unknown): void {
    report({ kind: 'error', where: 'catalog', problem: `${path} could not be written: ${describe(error)}` });
  }
  return {
    append(line) {
      if (pending.length < PENDING_LINES_MAX) pending.push(JSON.stringify(line));
    },
    async close() {
      clearInterval(timer);
      flush();
      await writing;
    },
  };
}

function readLines(path: string): Line[] {
  const lines: Line[] = [];
  for (const text of readText(path).split('\n')) {
    const line = parseLine(text);
    if (line) lines.push(line);
  }
  return lines;
}

function readText(path: string): string {
  try {
    const file = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(Math.min(fstatSync(file).size, FILE_BYTES_MAX));
      return bytes.toString('utf8', 0, readSync(file, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(file);
    }
  } catch {
    // Missing or unreadable: begin with nothing, which is always right.
    return '';
  }
}

function parseLine(text: string): Line | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const line = JSON.parse(text) as Record<string, unknown>;
    const isText = (key: string) => typeof line[key] === 'string';
    const isDigest = (key: string) => isText(key) && parseDigest(line[key] as string) !== undefined;
    const isTime = typeof line['at'] === 'number' && Number.isFinite(line['at']);
    const sound =
      (isDigest('blob') &&
        isText('repository') &&
        (line['size'] === undefined || Number.isSafeInteger(line['size']))) ||
      (isDigest('used') && isTime) ||
      (isText('tag') && isText('repository') && isDigest('digest') && isTime) ||
      (isText('public') && isTime);
    // Every field of the chosen form was looked at above; the compiler cannot follow that.
    return sound ? (line as unknown as Line) : undefined; // every field was looked at above
  } catch {
    return undefined;
  }
}
