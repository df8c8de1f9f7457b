import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type FakeMember, fakeMember, type Link } from '@drayage/swarm/testing';
import { blake3 } from '@napi-rs/blake-hash';
import { MIB } from '../lab/images.ts';
import { makeBlob } from './measure.ts';

const FILE_BYTES = 1024 * MIB;
/** The file goes over the link so many times. */
const PASSES = 2;
const ROUNDS = 3;
const WANTS = 8;
const HASH_BYTES = 32;
/** The hash first; nobody signs here. */
const ATTESTATION_BYTES = 128;
const DIGEST = `sha256:${'0'.repeat(64)}` as const;

/** What a process has used, as it says itself. */
interface Usage {
  readonly seconds: number;
  readonly processorSeconds: number;
  readonly residentMiB: number;
}

interface Case {
  readonly sinkDials: boolean;
  readonly pieceBytes: number;
}

/** Two gibibytes in pieces from a file to a sink that checks each with BLAKE3, over one link between two processes. */
export async function link(folder: string): Promise<Record<string, number>> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, await makeBlob(folder, 1));
  const figures: Record<string, number> = {};
  for (const sinkDials of [true, false])
    for (const pieceBytes of [MIB / 4, MIB, 4 * MIB]) {
      const rounds: [sink: Usage, source: Usage][] = [];
      for (let round = 0; round < ROUNDS; round++) rounds.push(await transfer(file, { sinkDials, pieceBytes }));
      rounds.sort(([one], [other]) => one.seconds - other.seconds);
      const [sink, source] = rounds[Math.floor(ROUNDS / 2)] ?? [];
      if (!sink || !source) throw new Error('nothing was measured');
      const gibibytes = (FILE_BYTES * PASSES) / (1024 * MIB);
      const name = `${sinkDials ? 'toDialler' : 'toAcceptor'}${pieceBytes / 1024}KiB`;
      const round = (value: number) => Number(value.toFixed(2));
      figures[`${name}MBPerSecond`] = Math.round((FILE_BYTES * PASSES) / sink.seconds / 1e6);
      figures[`${name}SinkCpuSecondsPerGiB`] = round(sink.processorSeconds / gibibytes);
      figures[`${name}SourceCpuSecondsPerGiB`] = round(source.processorSeconds / gibibytes);
      figures[`${name}SinkMiB`] = Math.round(sink.residentMiB);
      figures[`${name}SourceMiB`] = Math.round(source.residentMiB);
    }
  return figures;
}

async function transfer(file: string, { sinkDials, pieceBytes }: Case): Promise<[sink: Usage, source: Usage]> {
  const key = randomBytes(32).toString('hex');
  const [sink, source] = ['sink', 'source'].map((role) =>
    fork(import.meta.filename, [role, key, file, String(pieceBytes)]),
  );
  if (!sink || !source) throw new Error('no processes');
  try {
    const [first, second] = sinkDials ? [sink, source] : [source, sink];
    const [, address] = await Promise.all([told(first), told(second)]);
    first.send(address as Target);
    second.send(false);
    const [used, alsoUsed] = await Promise.all([told(sink), told(source)]);
    return [used as Usage, alsoUsed as Usage];
  } finally {
    for (const child of [sink, source]) child.kill('SIGKILL');
    await Promise.all([sink, source].map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')));
  }
}

async function told(child: ChildProcess): Promise<unknown> {
  const [message] = await once(child, 'message');
  return message;
}

interface Target {
  readonly member: string;
  readonly host: string;
  readonly port: number;
}

/** One side of the transfer, in a process of its own. */
async function takePart([role = '', key = '', file = '', pieceBytes = '0']: readonly string[]): Promise<void> {
  const member = await fakeMember({ swarmKeys: [Buffer.from(key, 'hex')] });
  const begin =
    role === 'sink' ? sinkFor(member, Number(pieceBytes)) : await sourceFor(member, file, Number(pieceBytes));
  const target = once(process, 'message') as Promise<[Target | false]>;
  process.send?.({ member: member.parts.identity.member, host: member.listener.host, port: member.listener.port });
  const [other] = await target;
  if (other) await member.dial(member, other);
  await member.told.event('link_opened');
  const [connection] = member.told.links;
  if (!connection) throw new Error('no link');
  const from = performance.now();
  const before = process.cpuUsage();
  await begin(connection);
  const { user, system } = process.cpuUsage(before);
  const usage: Usage = {
    seconds: (performance.now() - from) / 1000,
    processorSeconds: (user + system) / 1e6,
    residentMiB: process.resourceUsage().maxRSS / 1024,
  };
  process.send?.(usage);
}

type Begin = (link: Link) => Promise<void>;

/** Gathers each piece in memory, as whoever keeps it must, and checks it when it is whole. */
function sinkFor({ told }: FakeMember, pieceBytes: number): Begin {
  const count = (FILE_BYTES * PASSES) / pieceBytes;
  const free = Array.from({ length: WANTS }, () => Buffer.alloc(pieceBytes));
  const filling = new Map<number, Buffer<ArrayBuffer>>();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let next = 0;
  let left = count;
  const ask = (link: Link) => {
    const buffer = free.pop();
    if (next === count || !buffer) return;
    filling.set(next, buffer);
    link.want({ channel: 0, piece: next, length: pieceBytes, inFlight: WANTS });
    next += 1;
  };
  told.onPart = ({ piece, offset, bytes, attestation, isLast }, link) => {
    const buffer = filling.get(piece);
    if (!buffer) throw new Error('not asked for');
    bytes.copy(buffer, offset);
    if (!isLast) return undefined;
    if (!attestation.subarray(0, HASH_BYTES).equals(blake3(buffer)))
      reject(new Error(`piece ${piece} is not what was attested`));
    filling.delete(piece);
    free.push(buffer);
    ask(link);
    left -= 1;
    if (left > 0) return undefined;
    link.close(0);
    resolve();
    return undefined;
  };
  return async (link) => {
    link.open(DIGEST, { zone: undefined });
    for (let want = 0; want < WANTS; want++) ask(link);
    await promise;
  };
}

async function sourceFor({ told }: FakeMember, path: string, pieceBytes: number): Promise<Begin> {
  const file = await open(path);
  const attestations: Buffer[] = [];
  const piece = Buffer.alloc(pieceBytes);
  for (let at = 0; at < FILE_BYTES; at += pieceBytes) {
    await file.read(piece, 0, pieceBytes, at);
    attestations.push(Buffer.concat([blake3(piece)], ATTESTATION_BYTES));
  }
  told.onWant = (wanted, link) => {
    const index = wanted.piece % attestations.length;
    const read = async (into: Buffer, offset: number) =>
      (await file.read(into, 0, into.length, index * pieceBytes + offset)).bytesRead;
    void link.send({ ...wanted, length: pieceBytes, attestation: attestations[index] ?? piece, read });
  };
  return async () => void (await told.line('closed 0'));
}

if (import.meta.main) await takePart(process.argv.slice(2));
