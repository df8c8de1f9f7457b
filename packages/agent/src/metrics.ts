import type { StoreStatus } from '@drayage/core';
import type { MemberStatus } from '@drayage/swarm';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What is read at the moment of a scrape. */
interface Measured {
  readonly store: { status(): StoreStatus };
  /** Undefined for a host without a swarm. */
  readonly swarm: { members(): readonly MemberStatus[] } | undefined;
}

/** Every metric of an agent, in a registry of its own. */
export interface Metrics {
  readonly registry: Registry;
  readonly fetchedBytes: Counter<'from' | 'origin'>;
  readonly servedBytes: Counter<'to' | 'source'>;
  readonly pushedBytes: Counter<'origin' | 'kept'>;
  readonly requests: Counter<'kind' | 'code'>;
  readonly requestSeconds: Histogram<'kind'>;
  readonly firstByteSeconds: Histogram<'source'>;
  readonly fillSeconds: Histogram;
  readonly fills: Counter<'state'>;
  readonly prefetches: Counter<'outcome'>;
  readonly evictions: Counter;
  readonly piecesRejected: Counter<'reason'>;
  readonly quarantined: Counter;
  readonly access: Counter<'policy' | 'decision'>;
  readonly originRequests: Counter<'origin' | 'code'>;
  readonly originBreaker: Gauge<'origin'>;
  readonly leases: Counter<'outcome'>;
  readonly announced: Counter;
  readonly lookupSeconds: Histogram;
  readonly proxied: Counter<'outcome'>;
  readonly proxiedBytes: Counter<'outcome'>;
  readonly errors: Counter<'kind'>;
  /** Adds the figures that are read from the store and the swarm when somebody asks. */
  measure(measured: Measured): void;
}

const METRIC_PREFIX = 'drayage_';
/**
 * prom-client takes how late the event loop is from a timer that wakes a host a hundred times a second, half a percent of
 * a core at rest. So never, and what is told of it is what one scrape sees.
 */
const NEVER_MS: number = 2 ** 31 - 1;
const OF_THE_TIMER = /eventloop_lag_(min|max|mean|stddev|p\d+)_seconds$/;

const SECONDS = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const FILL_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

export function makeMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: METRIC_PREFIX, eventLoopMonitoringPrecision: NEVER_MS });
  for (const { name } of registry.getMetricsAsArray()) if (OF_THE_TIMER.test(name)) registry.removeSingleMetric(name);
  const registers = [registry];
  const counter = <Label extends string = never>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name: METRIC_PREFIX + name, help, labelNames, registers });
  const gauge = <Label extends string = never>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge({ name: METRIC_PREFIX + name, help, labelNames, registers });
  const histogram = <Label extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Label[] = [],
  ) => new Histogram({ name: METRIC_PREFIX + name, help, buckets, labelNames, registers });
  return {
    registry,
    fetchedBytes: counter('fetched_bytes_total', 'Bytes taken in.', ['from', 'origin']),
    servedBytes: counter('served_bytes_total', 'Bytes given out.', ['to', 'source']),
    pushedBytes: counter('pushed_bytes_total', 'Bytes of blobs that clients brought to origins.', ['origin', 'kept']),
    requests: counter('requests_total', 'Requests answered.', ['kind', 'code']),
    requestSeconds: histogram('request_seconds', 'From a request to the end of its answer.', SECONDS, ['kind']),
    firstByteSeconds: histogram('first_byte_seconds', 'From a request to its first byte.', SECONDS, ['source']),
    fillSeconds: histogram('fill_seconds', 'From the start of a fill to its seal.', FILL_SECONDS),
    fills: counter('fills', 'Fills that reached a state.', ['state']),
    prefetches: counter('prefetches_total', 'Layers fetched before they were asked for.', ['outcome']),
    evictions: counter('store_evictions_total', 'Blobs removed to make room.'),
    piecesRejected: counter('pieces_rejected_total', 'What proved wrong on arrival.', ['reason']),
    quarantined: counter('quarantined_total', 'Blobs of this disk, and members, that were set aside.'),
    access: counter('access_total', 'Decisions on who may read.', ['policy', 'decision']),
    originRequests: counter('origin_requests_total', 'Requests to origins.', ['origin', 'code']),
    originBreaker: gauge('origin_breaker', '0 closed, 1 half-open, 2 open.', ['origin']),
    leases: counter('leases_total', 'Parts of a blob taken on for everyone, by how that went.', ['outcome']),
    announced: counter('announced_total', 'Blobs made known to the directory.'),
    lookupSeconds: histogram('directory_lookup_seconds', 'To find out who holds a blob.', SECONDS),
    proxied: counter('proxied_total', 'What came to the forward proxy, by what became of it.', ['outcome']),
    proxiedBytes: counter('proxied_bytes_total', 'Bytes that went through the forward proxy, both ways.', ['outcome']),
    errors: counter('errors_total', 'Things that went wrong, by place.', ['kind']),
    measure: ({ store, swarm }) => {
      const read = (name: string, help: string, value: () => number) =>
        new Gauge({
          name: METRIC_PREFIX + name,
          help,
          registers,
          collect() {
            this.set(value());
          },
        });
      read('store_bytes', 'Bytes of sealed blobs.', () => store.status().bytes);
      read('store_blobs', 'Sealed blobs.', () => store.status().blobs);
      read('store_pass_through', '1 while nothing is written.', () => (store.status().passThrough ? 1 : 0));
      const members = () => swarm?.members() ?? [];
      read('members', 'Members of the swarm that this one is in touch with.', () => members().length);
      read('links', 'Open links that carry pieces.', () => members().filter(({ isLinked }) => isLinked).length);
    },
  };
}
