import { type BlobStore, type Digest, Failure, type PiecePlan, parseDigest, planPieces } from '@drayage/core';
import type { Answerer, Control } from '../control.ts';
import type { Directory } from '../directory.ts';
import { pieceHashes } from './piece-hash.ts';

/** With their hashes as Base64, what fits into one control message: a blob of 16 GiB. */
const PIECES_MAX = 4096;
const HASH_BYTES = 32;
const HOLDERS_ASKED_MAX = 3;
const HOLDERS_AGREED_MIN = 2;
const ANSWER_WAIT_MS = 2000;

/** The piece hashes of a blob that is sealed here, for other members. */
export function hashesAnswerer(store: Pick<BlobStore, 'sizeOf' | 'blockHashes'>): Answerer {
  return async (_member, body) => {
    const { digest: text } = (body ?? {}) as Partial<Record<string, unknown>>;
    const digest = typeof text === 'string' ? parseDigest(text) : undefined;
    if (!digest) throw new Failure('digest_invalid', 'that is no digest');
    const size = store.sizeOf(digest) ?? 0;
    const plan = planPieces(size);
    const blocks = size > 0 && plan.count <= PIECES_MAX ? await store.blockHashes(digest) : undefined;
    if (!blocks) throw new Failure('blob_unknown', 'there is no such blob, or its hashes do not fit into a message');
    return { hashes: Buffer.from(pieceHashes(plan, blocks).join(''), 'hex').toString('base64') };
  };
}

export interface AskForHashesParts {
  readonly digest: Digest;
  readonly plan: PiecePlan;
  readonly directory: Pick<Directory, 'find'>;
  readonly isTrusted: (member: string) => boolean;
  readonly control: () => Control;
}

/**
 * What the holders of the whole blob say its pieces are. They have to be two at least, and of one mind: a liar among three
 * makes readers wait, and only liars among themselves make them see what is wrong.
 */
export async function askForHashes(
  { digest, plan, directory, isTrusted, control }: AskForHashesParts,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  if (plan.count > PIECES_MAX) return undefined;
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WAIT_MS)]);
  // With nobody to be asked in time, readers wait for the proof.
  const found = await directory.find(digest, inTime).catch(() => []);
  const holders = [...new Set(found.map(({ member }) => member))].filter((member) => isTrusted(member));
  const ask = async (member: string): Promise<Buffer | undefined> => {
    const answer = await control()
      .ask(member, 'hashes', { digest }, inTime)
      .catch(() => undefined);
    const { hashes } = (answer ?? {}) as Partial<Record<string, unknown>>;
    const bytes = typeof hashes === 'string' ? Buffer.from(hashes, 'base64') : undefined;
    return bytes?.length === plan.count * HASH_BYTES ? bytes : undefined;
  };
  const answers = await Promise.all(holders.slice(0, HOLDERS_ASKED_MAX).map(ask));
  const said = answers.filter((bytes) => bytes !== undefined);
  const [first] = said;
  if (!first || said.length < HOLDERS_AGREED_MIN || said.some((bytes) => !bytes.equals(first))) return undefined;
  return Array.from({ length: plan.count }, (_, piece) =>
    first.toString('hex', piece * HASH_BYTES, (piece + 1) * HASH_BYTES),
  );
}
