import { readFile, rename, writeFile } from 'node:fs/promises';
import { describe, type Report } from '@drayage/core';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { findMembers, type HostPort, type JoinTarget, type Resolver } from './join.ts';
import { multiaddrOf, type SwarmNode } from './node.ts';
import type { Routing } from './routing.ts';

/** With nobody connected it is tried often, else now and then: targets may name members that came later. */
const LONELY_EVERY_MS = 2000;
const CONTENT_EVERY_MS = 60_000;
/** Rounds in quick succession after the first meeting: others may be joining at the same moment. */
const SETTLING_ROUNDS = 5;
const DIAL_WAIT_MS = 5000;
const DIALS_AT_ONCE = 8;
/** Members dialled each round; through them the others are known. */
const DIALS_PER_ROUND_MAX = 32;
const REFRESH_WAIT_MS = 10_000;
const REMEMBERED_MAX = 256;
const FILE_CHARS_MAX = 256 * 1024;

export interface JoiningParts {
  readonly node: SwarmNode;
  readonly routing: Routing;
  readonly targets: readonly JoinTarget[];
  readonly resolver: Resolver;
  /** Where members are remembered from one run to the next. */
  readonly file: string;
  readonly report: Report;
}

/** Finds members and stays with them until disposed. */
export function startJoining(parts: JoiningParts): AsyncDisposable {
  const stop = new AbortController();
  const done = joinOn(parts, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the agent is stopping'));
      await done;
    },
  };
}

async function joinOn(parts: JoiningParts, signal: AbortSignal): Promise<void> {
  const { node, report } = parts;
  let settling = SETTLING_ROUNDS;
  while (!signal.aborted) {
    try {
      const isNew = await joinOnce(parts, signal);
      if (isNew) settling = SETTLING_ROUNDS;
      else if (settling > 0 && node.getConnections().length > 0) settling--;
      if (isNew || settling > 0) await getToKnow(parts, signal);
      await remember(parts.file, node);
    } catch (error) {
      if (!signal.aborted) report({ kind: 'error', where: 'joining', problem: describe(error) });
    }
    const isContent = settling === 0 && node.getConnections().length > 0;
    await pause(isContent ? CONTENT_EVERY_MS : LONELY_EVERY_MS, signal);
  }
}

/** One round over all targets, and whether it met anyone. A target that fails is told and does not stop the others. */
async function joinOnce(
  { node, targets, resolver, file, report }: JoiningParts,
  signal: AbortSignal,
): Promise<boolean> {
  const found = await Promise.all(
    targets.map((target) =>
      findMembers(target, resolver, signal).catch((error: unknown) => {
        if (!signal.aborted) report({ kind: 'error', where: 'joining', problem: describe(error) });
        return [];
      }),
    ),
  );
  const isAlone = node.getConnections().length === 0;
  const addresses = [...found.flat().map(addressOf), ...(isAlone ? await recall(file) : [])];
  const next = addresses
    .filter((address) => !isOurs(node, address))
    .slice(0, DIALS_PER_ROUND_MAX)
    .values();
  let met = 0;
  const dialer = async () => {
    for (const address of next) if (await meet(node, address, report, signal)) met++;
  };
  await Promise.all(Array.from({ length: DIALS_AT_ONCE }, dialer));
  return met > 0;
}

async function getToKnow({ node, routing }: JoiningParts, signal: AbortSignal): Promise<void> {
  if (node.getConnections().length > 0)
    await routing.refresh(AbortSignal.any([signal, AbortSignal.timeout(REFRESH_WAIT_MS)]));
}

/** Whether a member that was not connected is now. */
async function meet(node: SwarmNode, address: Multiaddr, report: Report, signal: AbortSignal): Promise<boolean> {
  const isKnown = node.getConnections().some(({ remoteAddr }) => remoteAddr.toString().startsWith(address.toString()));
  if (isKnown) return false;
  try {
    await node.dial(address, { signal: AbortSignal.any([signal, AbortSignal.timeout(DIAL_WAIT_MS)]) });
    return true;
  } catch (error) {
    // Told because a wrong key looks like this from outside.
    if (!signal.aborted)
      report({ kind: 'error', where: 'joining', problem: `${address} refused us or is away: ${describe(error)}` });
    return false;
  }
}

function addressOf({ host, port }: HostPort): Multiaddr {
  return multiaddr(multiaddrOf(host, port));
}

function isOurs(node: SwarmNode, address: Multiaddr): boolean {
  return node.getMultiaddrs().some((own) => own.toString().startsWith(address.toString()));
}

/** The members of the last run. A file that cannot be read costs only their memory. */
async function recall(file: string): Promise<readonly Multiaddr[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .slice(0, FILE_CHARS_MAX)
    .split('\n')
    .slice(0, REMEMBERED_MAX)
    .flatMap((line) => {
      try {
        return line === '' ? [] : [multiaddr(line)];
      } catch {
        return [];
      }
    });
}

/** Only where we dialled ourselves: the address of one who called us is not where it listens. */
async function remember(file: string, node: SwarmNode): Promise<void> {
  const dialled = node.getConnections().filter(({ direction }) => direction === 'outbound');
  const lines = dialled.map(({ remoteAddr }) => remoteAddr.toString());
  if (lines.length === 0) return;
  await writeFile(`${file}.new`, `${lines.slice(0, REMEMBERED_MAX).join('\n')}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

function pause(waitMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, waitMs);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    }
  });
}
