import { open, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { Failure } from '@drayage/core';

const ANSWER_WAIT_MS = 1000;
const ANSWER_CHARS_MAX = 64;

/**
 * Keeps a second process off the same root. A socket rather than a file with a number in it: the kernel forgets the
 * listener when the process dies, so nothing stale has to be guessed at, and it holds across network namespaces.
 */
export async function takeLock(path: string): Promise<AsyncDisposable> {
  const folder = await open(dirname(path), 'r');
  // Socket names end at 107 bytes; the folder's descriptor keeps ours short however deep the root lies.
  const address = process.platform === 'linux' ? `/proc/self/fd/${folder.fd}/lock` : path;
  try {
    let server = await listen(address);
    if (!server) {
      const holder = await askHolder(address);
      if (holder !== undefined)
        throw new Failure(
          'store_in_use',
          `${dirname(path)} is used by another agent (process ${holder}); give this one its own --data`,
        );
      // Moved and asked again before it is removed: another agent that starts now may have just made it its own.
      await rename(address, `${address}.stale`).catch(ignoreMissing);
      if ((await askHolder(`${address}.stale`)) !== undefined) {
        await rename(`${address}.stale`, address);
        throw new Failure('store_in_use', `${dirname(path)} has just been taken by another agent`);
      }
      await rm(`${address}.stale`, { force: true });
      server = await listen(address);
    }
    if (!server) throw new Failure('store_in_use', `${dirname(path)} is being taken by another agent`);
    return heldLock(server, folder);
  } catch (error) {
    await folder.close();
    throw error;
  }
}

function heldLock(server: Server, folder: AsyncDisposable): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Undefined when somebody has, or had, the name. */
function listen(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(String(process.pid));
    });
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(address, () => resolve(server.unref()));
  });
}

/** The process that answers behind the name, undefined when none does. */
function askHolder(address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(address);
    socket.setTimeout(ANSWER_WAIT_MS, () => socket.destroy(new Error('no answer')));
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      answer = (answer + text).slice(0, ANSWER_CHARS_MAX);
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? undefined : 'unknown'),
    );
    socket.on('close', () => resolve(answer || 'unknown'));
  });
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
