import { Writable } from 'node:stream';
import { type Happening, sha256 } from '@drayage/core';
import pino from 'pino';
import { expect, test } from 'vitest';
import { reportTo } from './events.ts';
import { aMember, fakeSwarm } from './fake-swarm.ts';
import { makeMetrics } from './metrics.ts';

const digest = sha256(Buffer.from('a blob'));
const HAPPENINGS: readonly Happening[] = [
  { kind: 'fetched', from: 'origin', origin: 'docker.io', bytes: 5 },
  { kind: 'served', to: 'client', source: 'disk', bytes: 7 },
  {
    kind: 'request',
    what: 'blob',
    method: 'GET',
    target: '/v2/library/busybox/blobs/x?token=hunter2',
    code: 200,
    seconds: 0.2,
    firstByteSeconds: 0.1,
    source: 'disk',
    bytes: 7,
    problem: undefined,
  },
  { kind: 'fill', state: 'started', digest, origin: 'docker.io', bytes: 0, seconds: 0, problem: undefined },
  { kind: 'fill', state: 'sealed', digest, origin: 'docker.io', bytes: 7, seconds: 1, problem: undefined },
  { kind: 'origin_request', origin: 'docker.io', code: 'failed', seconds: 1 },
  { kind: 'breaker', origin: 'docker.io', state: 'open' },
  { kind: 'access', policy: 'public', decision: 'allow', repository: 'docker.io/library/busybox', reason: 'known' },
  { kind: 'masked', origin: 'docker.io', target: '/v2/x', problem: 'timeout' },
  { kind: 'corrupt', where: 'disk', digest, detail: 'block 3' },
  { kind: 'corrupt', where: 'origin', digest, detail: 'whole' },
  { kind: 'sealed', digest, size: 7 },
  { kind: 'evicted', digest, size: 7 },
  { kind: 'lease', outcome: 'granted' },
  { kind: 'lease', outcome: 'landed' },
  { kind: 'piece_rejected', reason: 'hash', member: '12D3KooWA', digest },
  { kind: 'quarantined', member: '12D3KooWA', why: 'lie', ms: 86_400_000 },
  { kind: 'announced', blobs: 12 },
  { kind: 'lookup', seconds: 0.03, holders: 2 },
  { kind: 'link', state: 'opened', member: '12D3KooWB', reason: undefined },
  { kind: 'link', state: 'ended', member: '12D3KooWB', reason: 'idle' },
  { kind: 'link', state: 'refused', member: '192.0.2.7', reason: 'key' },
  { kind: 'store_state', passThrough: 'the disk is full' },
  { kind: 'error', where: 'store', problem: 'odd' },
];

function listen(level: string): { lines: string[]; log: pino.Logger } {
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk));
      done();
    },
  });
  return { lines, log: pino({ level }, sink) };
}

test('what happens is counted under the names that operators rely on', async () => {
  const metrics = makeMetrics();
  const status = { blobs: 3, bytes: 99, drafts: 0, draftBytes: 0, quotaBytes: 100, passThrough: undefined };
  metrics.measure({
    store: { status: () => status },
    swarm: fakeSwarm({ members: [aMember({}), aMember({ isLinked: false })] }),
  });
  const report = reportTo(listen('silent').log, metrics, () => 0);
  for (const happening of HAPPENINGS) report(happening);
  const text = await metrics.registry.metrics();
  for (const line of [
    'drayage_fetched_bytes_total{from="origin",origin="docker.io"} 5',
    'drayage_served_bytes_total{to="client",source="disk"} 7',
    'drayage_requests_total{kind="blob",code="200"} 1',
    'drayage_request_seconds_count{kind="blob"} 1',
    'drayage_first_byte_seconds_count{source="disk"} 1',
    'drayage_fill_seconds_count 1',
    'drayage_fills{state="started"} 1',
    'drayage_store_bytes 99',
    'drayage_store_blobs 3',
    'drayage_store_evictions_total 1',
    'drayage_pieces_rejected_total{reason="corrupt_origin"} 1',
    'drayage_pieces_rejected_total{reason="hash"} 1',
    'drayage_quarantined_total 2',
    'drayage_leases_total{outcome="granted"} 1',
    'drayage_announced_total 12',
    'drayage_directory_lookup_seconds_count 1',
    'drayage_members 2',
    'drayage_links 1',
    'drayage_errors_total{kind="member_lie"} 1',
    'drayage_errors_total{kind="link_refused"} 1',
    'drayage_access_total{policy="public",decision="allow"} 1',
    'drayage_origin_requests_total{origin="docker.io",code="failed"} 1',
    'drayage_origin_breaker{origin="docker.io"} 2',
    'drayage_errors_total{kind="store"} 1',
    'drayage_errors_total{kind="masked"} 1',
  ]) {
    expect(text.split('\n')).toContain(line);
  }
  expect(text).toContain('drayage_nodejs_eventloop_lag_seconds');
  expect(text).toContain('drayage_process_resident_memory_bytes');
});

test('at info, only what may need a person is written', () => {
  const { lines, log } = listen('info');
  const report = reportTo(log, makeMetrics(), () => 0);
  for (const happening of HAPPENINGS) report(happening);
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual([
    'origin does not answer; not asking it for a while',
    'answered not found: the origin failed',
    'corrupt bytes from disk',
    'corrupt bytes from origin',
    'a member sent what was not attested',
    'a member is left alone for a while',
    'a link was refused',
    'the store takes nothing; blobs are passed through',
    'odd',
  ]);
});

test('a request is one debug line, without its query', () => {
  const { lines, log } = listen('debug');
  const report = reportTo(log, makeMetrics(), () => 0);
  for (const happening of HAPPENINGS.filter(({ kind }) => kind === 'request')) report(happening);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('"target":"/v2/library/busybox/blobs/x"');
  expect(lines[0]).not.toContain('hunter2');
});

test('a warning that repeats is written now and then, and counted each time', async () => {
  const { lines, log } = listen('info');
  const metrics = makeMetrics();
  let now = 0;
  const report = reportTo(log, metrics, () => now);
  for (now = 0; now < 60_000; now += 1000) report({ kind: 'masked', origin: 'a.test', target: '/', problem: 'down' });
  expect(lines).toHaveLength(2);
  expect(await metrics.registry.metrics()).toContain('drayage_errors_total{kind="masked"} 60');
});

test('a stranger that tries from many addresses is one line, and counted each time', async () => {
  const { lines, log } = listen('info');
  const metrics = makeMetrics();
  const report = reportTo(log, metrics, () => 0);
  for (let host = 1; host <= 20; host += 1)
    report({ kind: 'link', state: 'refused', member: `192.0.2.${host}`, reason: 'key' });
  report({ kind: 'link', state: 'refused', member: '192.0.2.1', reason: 'certificate' });
  expect(lines).toHaveLength(2);
  expect(await metrics.registry.metrics()).toContain('drayage_errors_total{kind="link_refused"} 21');
});

test('a host without a swarm has no members, and says so', async () => {
  const metrics = makeMetrics();
  const status = { blobs: 0, bytes: 0, drafts: 0, draftBytes: 0, quotaBytes: 1, passThrough: undefined };
  metrics.measure({ store: { status: () => status }, swarm: undefined });
  const lines = (await metrics.registry.metrics()).split('\n');
  expect(lines).toEqual(expect.arrayContaining(['drayage_members 0', 'drayage_links 0']));
});
