import { open, readFile, rename } from 'node:fs/promises';
import { Failure } from '@drayage/core';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';

/** The host's own key, kept in this file from the first start on: other members know the host by it. */
export async function loadIdentity(path: string): Promise<Ed25519PrivateKey> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new Failure('disk_failed', `the identity ${path} cannot be read`, { cause: error });
  });
  if (text !== undefined) return decode(text, path);
  const key = await generateKeyPair('Ed25519');
  await save(path, Buffer.from(privateKeyToProtobuf(key)).toString('base64'));
  return key;
}

function decode(text: string, path: string): Ed25519PrivateKey {
  try {
    const key = privateKeyFromProtobuf(Buffer.from(text.trim(), 'base64'));
    if (key.type === 'Ed25519') return key;
  } catch {
    // Told below, without a word of what the file holds.
  }
  throw new Failure('disk_failed', `the identity ${path} is damaged; remove it to get a new one`);
}

/** Whole or not there, and only for us. */
async function save(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(`${text}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
