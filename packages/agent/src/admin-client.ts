import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { describe, FAILURE_CODES, Failure } from '@drayage/core';
import { type AdminAddress, formatAddress, parseAdminAddress, reachable } from './address.ts';
import type { Call } from './command.ts';
import { OPTIONS } from './options.ts';

/** Talks to a running agent. Throws `agent_unreachable` when none answers. */
export interface AdminClient {
  readonly address: AdminAddress;
  get<T>(path: string): Promise<T>;
  /** The status and text of an answer, whatever they are. */
  ask(path: string): Promise<{ readonly status: number; readonly text: string }>;
  remove(path: string): Promise<void>;
  /** The events of a long call, until its last. */
  events(path: string, body: object): AsyncIterable<AdminEvent>;
}

export interface AdminEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const CONNECT_MS = 3000;
const ANSWER_MS = 30_000;
/** The agent sends a sign of life every ten seconds. */
const SILENCE_MS = 35_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** The client for the agent that `--admin` or the environment names. */
export function adminClient({ arguments: given, around }: Call): AdminClient {
  const text = given.values.get(OPTIONS.admin.flag)?.at(-1) ?? (around.env['DRAYAGE_ADMIN'] || undefined);
  if (text === undefined) return clientOf(OPTIONS.admin.initial({ home: '', dataHome: '', isRoot: false }));
  try {
    return clientOf(parseAdminAddress(text));
  } catch (error) {
    throw new Failure('options_invalid', `--admin: ${describe(error)}`);
  }
}

export function clientOf(address: AdminAddress): AdminClient {
  return {
    address,
    get: async <T>(path: string) => {
      const { status, text } = await whole(await send(address, 'GET', path));
      if (status !== 200) throw refusal(text);
      return JSON.parse(text) as T;
    },
    ask: async (path) => whole(await send(address, 'GET', path)),
    remove: async (path) => {
      const { status, text } = await whole(await send(address, 'DELETE', path));
      if (status !== 200) throw refusal(text);
    },
    events: (path, body) => readEvents(address, path, body),
  };
}

function send(address: AdminAddress, method: string, path: string, body?: object): Promise<IncomingMessage> {
  const target =
    'path' in address ? { socketPath: address.path } : { host: reachable(address.host), port: address.port };
  const headers = { Host: 'localhost', 'Content-Type': 'application/json' };
  return new Promise((resolve, reject) => {
    const asked: ClientRequest = request({ ...target, method, path, headers, agent: false });
    const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${CONNECT_MS / 1000} s`)), CONNECT_MS);
    asked.once('socket', (socket) => socket.once('connect', () => clearTimeout(timer)));
    asked.setTimeout(ANSWER_MS, () => asked.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`)));
    asked.once('response', resolve);
    asked.once('error', (error) => {
      clearTimeout(timer);
      reject(new Failure('agent_unreachable', `no agent answers on ${formatAddress(address)}`, { cause: error }));
    });
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function whole(response: IncomingMessage): Promise<{ status: number; text: string }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Failure('agent_unreachable', 'the answer is too long');
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() };
}

async function* readEvents(address: AdminAddress, path: string, body: object): AsyncIterable<AdminEvent> {
  const response = await send(address, 'POST', path, body);
  if (response.statusCode !== 200) throw refusal((await whole(response)).text);
  response.setTimeout(SILENCE_MS, () => response.destroy(new Error('the agent fell silent')));
  let name = '';
  let isOver = false;
  try {
    for await (const line of createInterface({ input: response })) {
      if (line.startsWith('event: ')) name = line.slice('event: '.length);
      if (!line.startsWith('data: ')) continue;
      isOver = name === 'done' || name === 'failed';
      yield { name, data: JSON.parse(line.slice('data: '.length)) as AdminEvent['data'] };
    }
  } catch (error) {
    throw new Failure('agent_unreachable', 'the agent ended before the work did', { cause: error });
  } finally {
    response.destroy();
  }
  if (!isOver) throw new Failure('agent_unreachable', 'the agent ended before the work did');
}

function refusal(text: string): Error {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new Failure(FAILURE_CODES.find((known) => known === error.code) ?? 'unsupported', error.message);
  } catch {
    return new Failure('agent_unreachable', 'what answers there is no agent');
  }
}
