import { stat, statfs } from 'node:fs/promises';
import { formatSize } from '../units.ts';
import type { Finding } from './finding.ts';

const FREE_BYTES_MIN = 2 * 1024 ** 3;
const FREE_SHARE_MIN = 0.05;

/** Looks at the data folder: whose it is, who may read it, and how much room its disk has. */
export async function checkDisk(data: string): Promise<readonly Finding[]> {
  const about = 'data folder';
  const found = await stat(data).catch(() => undefined);
  if (!found) {
    return [{ about, state: 'good', finding: `${data} is not there yet; the first start of the agent makes it` }];
  }
  if (!found.isDirectory()) {
    return [{ about, state: 'bad', finding: `${data} is no folder`, advice: 'name another with --data' }];
  }
  const owner = found.uid === process.getuid?.() || process.getuid?.() === 0;
  const foreign: Finding[] = owner
    ? []
    : [
        {
          about,
          state: 'warning',
          finding: `${data} belongs to user ${found.uid}`,
          advice: 'run the agent as that user',
        },
      ];
  return [...foreign, permissions(data, found.mode), await room(data)];
}

function permissions(data: string, mode: number): Finding {
  const about = 'data folder';
  const rights = (mode & 0o777).toString(8);
  if ((mode & 0o077) === 0) return { about, state: 'good', finding: `${data} is open to its owner only` };
  // What is in it was proven to callers one by one; a folder open to all gives it to anybody.
  return { about, state: 'warning', finding: `${data} is open to others (${rights})`, advice: `chmod 700 ${data}` };
}

async function room(data: string): Promise<Finding> {
  const { bavail, blocks, bsize } = await statfs(data);
  const free = bavail * bsize;
  const finding = `${formatSize(free)} of ${formatSize(blocks * bsize)} are free`;
  if (free >= FREE_BYTES_MIN && bavail / blocks >= FREE_SHARE_MIN) return { about: 'disk', state: 'good', finding };
  const advice = 'make room, or lower --cache-bytes; without room the agent passes blobs through';
  return { about: 'disk', state: 'warning', finding, advice };
}
