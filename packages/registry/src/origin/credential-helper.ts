import { execFile } from 'node:child_process';
import { Failure } from '@drayage/core';
import type { Credential } from './credential.ts';
import { parseObject, text } from './json.ts';

const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const HELPER_BYTES_MAX = 64 * 1024;
const helperWaitMs = 10_000;

/** Asks `docker-credential-NAME` for the credential of a server. Undefined when it has none; its output is never repeated. */
export async function askHelper(helper: string, server: string): Promise<Credential | undefined> {
  if (!HELPER_NAME.test(helper)) throw new Failure('unauthorized', 'the name of the credential helper is malformed');
  const program = `docker-credential-${helper}`;
  const output = await run(program, server);
  if (output === undefined) return undefined;
  const answer = parseObject(output);
  const username = text(answer, 'Username');
  const secret = text(answer, 'Secret');
  if (!username || !secret) throw new Failure('unauthorized', `${program} gave no credential for ${server}`);
  if (username === '<token>') return { kind: 'identity', token: secret };
  return { kind: 'password', username, password: secret };
}

function run(program: string, server: string): Promise<string | undefined> {
  const options = {
    timeout: helperWaitMs,
    maxBuffer: HELPER_BYTES_MAX,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  } as const;
  return new Promise((done, fail) => {
    const child = execFile(program, ['get'], options, (error, output) => {
      if (!error) done(output);
      else if (/credentials not found/.test(output)) done(undefined);
      // The error's own message would repeat what the helper wrote.
      else
        fail(
          new Failure('unauthorized', `${program} failed${error.killed ? ' to answer in time' : ''} (${error.code})`),
        );
    });
    // A helper may end without reading.
    child.stdin?.on('error', () => {});
    child.stdin?.end(server);
  });
}
