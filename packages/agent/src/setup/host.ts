import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { promisify } from 'node:util';
import type { HostFiles } from './host-files.ts';
import type { Host } from './steps.ts';

const RUN_WAIT_MS = 120_000;
const RUN_BYTES_MAX = 4 * 1024 * 1024;
const ANSWER_WAIT_MS = 5000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const PROGRAM_FOLDERS = ['/usr/local/bin', '/usr/bin', '/usr/sbin', '/bin', '/sbin'];

/** The host these files are of. What belongs to another root is asked for its version, and nothing else. */
export function hostOf(files: HostFiles): Host {
  const isOwn = files.root === '/';
  return {
    files,
    async run(program, args) {
      const isVersion = args.length === 1 && args[0] === '--version';
      const path = isOwn ? program : isVersion ? await programIn(files, program) : undefined;
      return path === undefined ? undefined : outputOf(path, args);
    },
    get: async (socket, path) => ask(files.at(await files.resolve(socket)), path),
    hangUp: (pid) => isOwn && process.kill(pid, 'SIGHUP'),
  };
}

async function programIn(files: HostFiles, program: string): Promise<string | undefined> {
  for (const folder of PROGRAM_FOLDERS) {
    if (await files.exists(`${folder}/${program}`)) return files.at(await files.resolve(`${folder}/${program}`));
  }
  return undefined;
}

async function outputOf(path: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const options = {
      timeout: RUN_WAIT_MS,
      maxBuffer: RUN_BYTES_MAX,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
    } as const;
    return (await promisify(execFile)(path, args, options)).stdout;
  } catch {
    // Not there, or failed: whoever asks has another way, or says that there is none.
    return undefined;
  }
}

function ask(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve) => {
    const none = () => resolve(undefined);
    const asked = request({ socketPath, path, headers: { host: 'localhost' }, agent: false }, async (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      try {
        for await (const chunk of response as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) return none();
          chunks.push(chunk);
        }
        return response.statusCode === 200 ? resolve(JSON.parse(Buffer.concat(chunks).toString())) : none();
      } catch {
        // Whatever speaks there is not the daemon that was looked for.
        return none();
      }
    });
    asked.setTimeout(ANSWER_WAIT_MS, () => asked.destroy());
    asked.once('error', none);
    asked.end();
  });
}
