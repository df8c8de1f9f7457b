import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { Digest } from '@drayage/core';
import { publicKeyFromRaw } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { ATTESTATION_BYTES } from '../link/types.ts';

const HASH_BYTES = 32;
const KEY_BYTES = 32;
const AUTHORS_KEPT_MAX = 4096;
/** What DER says before the 32 bytes of an Ed25519 key. */
const PRIVATE_LEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const PUBLIC_LEAD = Buffer.from('302a300506032b6570032100', 'hex');

/** A member's word for what a piece is, as it travels. */
interface Attested {
  readonly hash: string;
  readonly author: string;
}

/** Makes and checks attestations. Signed, because they are passed on: nobody can be made to have said what they did not. */
export interface Attestations {
  /** Our own word for a piece. */
  make(digest: Digest, piece: number, hash: string): Buffer;
  /** Undefined when the author did not say so. */
  check(digest: Digest, piece: number, attestation: Buffer): Attested | undefined;
}

interface Author {
  readonly member: string;
  readonly key: KeyObject;
}

export function attestations(identity: Ed25519PrivateKey): Attestations {
  const seed = Buffer.from(identity.raw).subarray(0, KEY_BYTES);
  const own = createPrivateKey({ key: Buffer.concat([PRIVATE_LEAD, seed]), format: 'der', type: 'pkcs8' });
  const ownKey = Buffer.from(identity.publicKey.raw);
  const authors = new Map<string, Author>();

  function authorOf(key: Buffer): Author {
    const name = key.toString('base64');
    const known = authors.get(name);
    if (known) return known;
    const member = peerIdFromPublicKey(publicKeyFromRaw(key)).toString();
    const author = {
      member,
      key: createPublicKey({ key: Buffer.concat([PUBLIC_LEAD, key]), format: 'der', type: 'spki' }),
    };
    if (authors.size >= AUTHORS_KEPT_MAX) authors.clear();
    authors.set(name, author);
    return author;
  }

  return {
    make(digest, piece, hash) {
      const said = statement(digest, piece, Buffer.from(hash, 'hex'));
      return Buffer.concat([Buffer.from(hash, 'hex'), ownKey, sign(null, said, own)]);
    },
    check(digest, piece, attestation) {
      if (attestation.length !== ATTESTATION_BYTES) return undefined;
      const hash = attestation.subarray(0, HASH_BYTES);
      try {
        const author = authorOf(Buffer.from(attestation.subarray(HASH_BYTES, HASH_BYTES + KEY_BYTES)));
        const isSaid = verify(
          null,
          statement(digest, piece, hash),
          author.key,
          attestation.subarray(HASH_BYTES + KEY_BYTES),
        );
        return isSaid ? { hash: hash.toString('hex'), author: author.member } : undefined;
      } catch {
        // Not a point of the curve.
        return undefined;
      }
    },
  };
}

function statement(digest: Digest, piece: number, hash: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`drayage piece ${piece} of ${digest} `), hash]);
}
