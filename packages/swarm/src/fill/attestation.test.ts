import { randomBytes } from 'node:crypto';
import { sha256 } from '@drayage/core';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ATTESTATION_BYTES } from '../link/types.ts';
import { attestations } from './attestation.ts';
import { newIdentity } from './fake-hosts.ts';

const DIGEST = sha256(Buffer.from('a blob'));
const HASH = randomBytes(32).toString('hex');
const identity = await newIdentity();
const one = attestations(identity);
const other = attestations(await newIdentity());

test('an attestation says who stands for which hash, to whoever checks it', () => {
  const made = one.make(DIGEST, 3, HASH);
  expect(made).toHaveLength(ATTESTATION_BYTES);
  const said = { hash: HASH, author: peerIdFromPrivateKey(identity).toString() };
  expect(other.check(DIGEST, 3, made)).toEqual(said);
  expect(one.check(DIGEST, 3, made)).toEqual(said);
});

test('an attestation of another piece or another blob says nothing', () => {
  const made = one.make(DIGEST, 3, HASH);
  expect(other.check(DIGEST, 4, made)).toBeUndefined();
  expect(other.check(sha256(Buffer.from('another')), 3, made)).toBeUndefined();
});

test('nobody can be made to have said what they did not', () => {
  const made = one.make(DIGEST, 3, HASH);
  const theirs = other.make(DIGEST, 3, HASH);
  expect(other.check(DIGEST, 3, Buffer.concat([made.subarray(0, 64), theirs.subarray(64)]))).toBeUndefined();
  for (let at = 0; at < ATTESTATION_BYTES; at++) {
    const forged = Buffer.from(made);
    forged[at] = (forged[at] ?? 0) ^ 1;
    expect(other.check(DIGEST, 3, forged)).toBeUndefined();
  }
});

test('garbage is no attestation, and no error either', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 2 * ATTESTATION_BYTES }), (bytes) => {
      expect(one.check(DIGEST, 0, Buffer.from(bytes))).toBeUndefined();
    }),
  );
  expect(one.check(DIGEST, 0, Buffer.alloc(ATTESTATION_BYTES))).toBeUndefined();
});
