import { hkdfSync, randomBytes } from 'node:crypto';
import { Failure } from '@drayage/core';

const KEY_BYTES = 32;
const KEYS_MAX = 2;
const FILE_CHARS_MAX = 4096;
const LINE = /^drayage-swarm-key-v1:([A-Za-z0-9_-]{43})$/;

/** What makes a host a member: whoever has the secret is one. */
export interface SwarmKey {
  /** Tells two keys apart without telling anything about them. */
  readonly id: string;
  /** A secret of its own for each purpose, so that none can be turned against another. */
  derive(purpose: string): Buffer;
}

/** A new key, as its file holds it. */
export function newSwarmKey(): string {
  return `drayage-swarm-key-v1:${randomBytes(KEY_BYTES).toString('base64url')}`;
}

/** The keys of a key file: the first is used, a second is accepted as well while keys are being changed. */
export function parseSwarmKeys(text: string, path: string): readonly SwarmKey[] {
  const invalid = (why: string) => new Failure('options_invalid', `${path} is no swarm key file: ${why}`);
  if (text.length > FILE_CHARS_MAX) throw invalid('it is too large');
  const lines = text.split('\n').map((line) => line.trim());
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => LINE.exec(line)?.[1]);
  if (keys.length === 0) throw invalid('it is empty; make one with: drayage key new');
  if (keys.length > KEYS_MAX) throw invalid(`it holds more than ${KEYS_MAX} keys`);
  return keys.map((key) => {
    if (key === undefined) throw invalid('a line of it is no key; make one with: drayage key new');
    return swarmKey(Buffer.from(key, 'base64url'));
  });
}

function swarmKey(secret: Buffer): SwarmKey {
  const derive = (purpose: string) => Buffer.from(hkdfSync('sha256', secret, 'drayage', purpose, KEY_BYTES));
  return { id: derive('id').toString('hex', 0, 8), derive };
}
