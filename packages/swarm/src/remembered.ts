import { readFile, rename, writeFile } from 'node:fs/promises';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { SwarmNode } from './node.ts';

const REMEMBERED_MAX = 256;
const FILE_CHARS_MAX = 256 * 1024;

/** Where members were met, kept in a file from one run to the next. */
export interface Remembered {
  addresses(): readonly Multiaddr[];
  /** Adds whom we are connected with; writes only what is new. */
  update(node: SwarmNode): Promise<void>;
}

/** A file that cannot be read costs only the memory. */
export async function openRemembered(file: string): Promise<Remembered> {
  const text = await readFile(file, 'utf8').catch(() => '');
  let lines = text.slice(0, FILE_CHARS_MAX).split('\n').filter(isAddress).slice(0, REMEMBERED_MAX);
  return {
    addresses: () => lines.map((line) => multiaddr(line)),
    async update(node) {
      // Only where we dialled ourselves: the address of one who called us is not where it listens.
      const dialled = node.getConnections().filter(({ direction }) => direction === 'outbound');
      const met = new Set(dialled.map(({ remoteAddr }) => remoteAddr.toString()));
      const known = new Set(lines);
      if ([...met].every((line) => known.has(line))) return;
      // Who is not connected now may be behind a broken network: it is kept as long as there is room.
      lines = [...new Set([...met, ...lines])].slice(0, REMEMBERED_MAX);
      await writeFile(`${file}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
      await rename(`${file}.new`, file);
    },
  };
}

function isAddress(line: string): boolean {
  if (line === '') return false;
  try {
    multiaddr(line);
    return true;
  } catch {
    return false;
  }
}
