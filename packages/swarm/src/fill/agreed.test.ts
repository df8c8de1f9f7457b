import { type Digest, Failure, planPieces, sha256 } from '@drayage/core';
import { memoryStore } from '@drayage/core/testing';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import type { Contact } from '../contact.ts';
import { type AskForHashesParts, askForHashes, hashesAnswerer } from './agreed.ts';
import { never, newIdentity } from './fake-hosts.ts';
import { hashPiece } from './piece-hash.ts';

const BLOB = Buffer.alloc(600_000, 'drayage');
const DIGEST: Digest = sha256(BLOB);
const PLAN = planPieces(BLOB.length);
const RIGHT = Array.from({ length: PLAN.count }, (_, piece) => {
  const start = piece * PLAN.pieceBytes;
  return hashPiece(BLOB.subarray(start, start + PLAN.pieceBytes)).hash;
});

/** What holders answer, in the order in which they are found. */
type Says = 'right' | 'wrong' | 'short' | 'nonsense' | 'nothing';

async function ask(says: readonly Says[], barred: readonly number[] = []) {
  const store = memoryStore();
  await store.put(DIGEST, BLOB);
  const answerer = hashesAnswerer(store);
  const members = await Promise.all(says.map(async () => peerIdFromPrivateKey(await newIdentity()).toString()));
  const asked: number[] = [];
  const answer = async (body: unknown, said: Says | undefined): Promise<unknown> => {
    const { hashes } = (await answerer('asker', body)) as { hashes: string };
    const bytes = Buffer.from(hashes, 'base64');
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    if (said === 'nothing') throw new Failure('member_unreachable', 'no answer');
    if (said === 'nonsense') return [7];
    if (said === 'short') return { hashes: hashes.slice(0, 8) };
    return { hashes: said === 'wrong' ? bytes.toString('base64') : hashes };
  };
  const parts: AskForHashesParts = {
    digest: DIGEST,
    plan: PLAN,
    directory: { find: async () => members.map((member): Contact => ({ member, links: [], zone: undefined })) },
    isTrusted: (member) => !barred.includes(members.indexOf(member)),
    control: () => ({
      async ask(member, _kind, body) {
        const at = members.indexOf(member.toString());
        asked.push(at);
        return await answer(body, says[at]);
      },
      async [Symbol.asyncDispose]() {},
    }),
  };
  return { agreed: await askForHashes(parts, never), asked };
}

test.each<[string, readonly Says[]]>([
  ['two say the same', ['right', 'right']],
  ['two say the same and one says nothing', ['right', 'nothing', 'right']],
  ['two say the same and one says what is no answer', ['short', 'right', 'right']],
])('holders agree when %s', async (_, says) => {
  expect((await ask(says)).agreed).toEqual(RIGHT);
});

test.each<[string, readonly Says[]]>([
  ['there is none', []],
  ['there is one', ['right']],
  ['one of two differs', ['right', 'wrong']],
  ['one of three differs', ['wrong', 'right', 'right']],
  ['none says anything of use', ['nonsense', 'nothing', 'short']],
])('holders do not agree when %s', async (_, says) => {
  expect((await ask(says)).agreed).toBeUndefined();
});

test('three are asked, and nobody who is left alone', async () => {
  const { agreed, asked } = await ask(['wrong', 'right', 'right', 'right', 'right'], [0]);
  expect(agreed).toEqual(RIGHT);
  expect(asked).toEqual([1, 2, 3]);
});

test('the hashes of what is not here, and answers to what is no question, are refused', async () => {
  const answerer = hashesAnswerer(memoryStore());
  await expect(answerer('member', { digest: DIGEST })).rejects.toThrow('no such blob');
  for (const body of [undefined, {}, { digest: 'nonsense' }, { digest: 7 }])
    await expect(answerer('member', body)).rejects.toThrow('no digest');
});
