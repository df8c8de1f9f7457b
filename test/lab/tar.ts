import { createCipheriv, createHash } from 'node:crypto';

const BLOCK_BYTES = 512;
const SIZE_CHARS = 11;

export interface File {
  readonly path: string;
  readonly mode: number;
  readonly bytes: Buffer;
}

/** A tar archive that depends on its contents alone. */
export function tar(files: readonly File[]): Buffer {
  const parts: Buffer[] = [];
  for (const file of files) {
    parts.push(header(file), file.bytes, Buffer.alloc((BLOCK_BYTES - (file.bytes.length % BLOCK_BYTES)) % BLOCK_BYTES));
  }
  parts.push(Buffer.alloc(2 * BLOCK_BYTES));
  return Buffer.concat(parts);
}

/** Bytes that do not compress, the same for the same seed, made at a gigabyte per second. */
export function noise(bytes: number, seed: string): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16)).update(Buffer.alloc(bytes));
}

function header({ path, mode, bytes }: File): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, chars: number) =>
    block.write(`${value.toString(8).padStart(chars, '0')}\0`, at, 'latin1');
  block.write(path, 0, 'utf8');
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(bytes.length, 124, SIZE_CHARS);
  octal(0, 136, SIZE_CHARS);
  block.write('        0', 148, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
