import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

/** Keeps the secrets of clients: names them without holding them, and wraps them so that only this process can open them. */
export interface Secrets {
  /** One string per secret, of use to nobody: the key is made at the start and never leaves this process. */
  idOf(...parts: readonly string[]): string;
  wrap(content: Wrapped): string;
  /** What a token of ours holds, expired or not; `foreign` for any other token, undefined for one that was tampered with. */
  unwrap(token: string): Wrapped | 'foreign' | undefined;
}

interface Wrapped {
  /** The only origin that may see the credential. Undefined in a token that opens nothing. */
  readonly origin: string | undefined;
  readonly authorization: string;
  readonly expiresAt: number;
}

const PREFIX = 'drayage.';
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function makeSecrets(): Secrets {
  const wrapping = randomBytes(32);
  const naming = randomBytes(32);
  return {
    idOf: (...parts) => createHmac('sha256', naming).update(JSON.stringify(parts)).digest('base64url'),
    wrap(content) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, wrapping, nonce);
      const hidden = Buffer.concat([cipher.update(JSON.stringify(content)), cipher.final()]);
      return PREFIX + Buffer.concat([nonce, cipher.getAuthTag(), hidden]).toString('base64url');
    },
    unwrap(token) {
      if (!token.startsWith(PREFIX)) return 'foreign';
      const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url');
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
      const decipher = createDecipheriv(CIPHER, wrapping, bytes.subarray(0, NONCE_BYTES));
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      try {
        const clear = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
        // Only we can have written it.
        return JSON.parse(clear.toString()) as Wrapped;
      } catch {
        return undefined;
      }
    },
  };
}
