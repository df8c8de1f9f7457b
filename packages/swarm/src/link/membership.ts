import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { encodeFrame, FRAME, HEAD_BYTES } from './frame.ts';

export type Side = 'dialler' | 'acceptor';

/** What a proof is bound to: this TLS session, and who speaks with whom in it. */
export interface Binding {
  readonly exported: Buffer;
  readonly dialler: string;
  readonly acceptor: string;
}

const PROOF_BYTES = 32;
const KEY_BYTES = 32;
/** More would be a rotation within a rotation. */
const KEYS_MAX = 2;
const VERSION = 1;

export const HELLO_BYTES: number = HEAD_BYTES + KEYS_MAX * PROOF_BYTES;

/** Keys for proofs on links, from the swarm keys that are in use: the newest first. */
export function linkKeys(swarmKeys: readonly Buffer[]): Buffer[] {
  const isUsable = swarmKeys.length >= 1 && swarmKeys.length <= KEYS_MAX;
  if (!isUsable || swarmKeys.some((key) => key.length !== KEY_BYTES))
    throw new Error(`links need one or two swarm keys of ${KEY_BYTES} bytes`);
  return swarmKeys.map((key) => Buffer.from(hkdfSync('sha256', key, '', 'drayage link 1', KEY_BYTES)));
}

export function exportedFrom(socket: TLSSocket): Buffer {
  return socket.exportKeyingMaterial(KEY_BYTES, 'EXPORTER-drayage-link', Buffer.alloc(0));
}

/** The first frame of a link: a proof with each key. It always has room for two, so it does not tell how many there are. */
export function encodeHello(keys: readonly Buffer[], side: Side, binding: Binding): Buffer {
  const proofs = Array.from({ length: KEYS_MAX }, (_, at) => {
    const key = keys[at];
    return key ? proof(key, side, binding) : randomBytes(PROOF_BYTES);
  });
  return encodeFrame({ type: FRAME.hello, extra: VERSION }, Buffer.concat(proofs));
}

/** Whether the other side, which is `side`, has a key of ours. Takes the same time whichever it is. */
export function isProven(hello: Buffer, keys: readonly Buffer[], side: Side, binding: Binding): boolean {
  const head = encodeFrame({ type: FRAME.hello, extra: VERSION }, Buffer.alloc(KEYS_MAX * PROOF_BYTES));
  if (!hello.subarray(0, HEAD_BYTES).equals(head.subarray(0, HEAD_BYTES))) return false;
  let found = false;
  for (const key of keys) {
    const expected = proof(key, side, binding);
    for (let at = HEAD_BYTES; at < HELLO_BYTES; at += PROOF_BYTES)
      if (timingSafeEqual(hello.subarray(at, at + PROOF_BYTES), expected)) found = true;
  }
  return found;
}

/** Names its side, so what one side sent proves nothing when it comes back. */
function proof(key: Buffer, side: Side, { exported, dialler, acceptor }: Binding): Buffer {
  return createHmac('sha256', key).update(`${side}\n${dialler}\n${acceptor}\n`).update(exported).digest();
}
