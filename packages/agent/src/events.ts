import { type Happening, type Report, shortOf } from '@drayage/core';
import type pino from 'pino';
import type { Metrics } from './metrics.ts';

type Level = 'error' | 'warn' | 'info' | 'debug';
type Facts = Readonly<Record<string, string | number | undefined>>;
/** Writes one line; warnings about the same thing are spaced out. */
type Tell = (level: Level, message: string, facts: Facts, about?: string) => void;

const REPEAT_MS = 30_000;
const OTHERS: ReadonlySet<string> = new Set(['joining', 'control', 'directory', 'uploads', 'presence']);
const REPEATS_MAX = 512;
const TEXT_CHARS_MAX = 400;
const BREAKER = { closed: 0, 'half-open': 1, open: 2 } as const;

/** Turns what libraries report into metrics and log lines: the one place that does either. */
export function reportTo(log: pino.Logger, metrics: Metrics, now: () => number): Report {
  const tell = teller(log, now);
  return (happening) => tellOf(happening)(metrics, tell);
}

type Kind = Happening['kind'];
type Handlers = {
  readonly [K in Kind]: (happening: Extract<Happening, { readonly kind: K }>, metrics: Metrics, tell: Tell) => void;
};

const TRAFFIC: Pick<Handlers, 'fetched' | 'served' | 'request' | 'origin_request' | 'access'> = {
  fetched: ({ from, origin, bytes }, { fetchedBytes }) => fetchedBytes.inc({ from, origin }, bytes),
  served: ({ to, source, bytes }, { servedBytes }) => servedBytes.inc({ to, source }, bytes),
  request: (request, { requests, requestSeconds, firstByteSeconds }, tell) => {
    const { what, method, target, code, seconds, source, bytes, problem } = request;
    requests.inc({ kind: what, code });
    requestSeconds.observe({ kind: what }, seconds);
    if (request.firstByteSeconds !== undefined && source !== undefined) {
      firstByteSeconds.observe({ source }, request.firstByteSeconds);
    }
    // A query is left out: it may hold what is nobody's business.
    tell('debug', 'request', { method, target: target.split('?', 1)[0], code, seconds, source, bytes, problem });
  },
  origin_request: ({ origin, code, seconds }, { originRequests }, tell) => {
    originRequests.inc({ origin, code });
    tell('debug', 'origin answered', { origin, code, seconds });
  },
  access: ({ policy, decision, repository, reason }, { access }, tell) => {
    access.inc({ policy, decision });
    tell('debug', `access ${decision}`, { policy, repository, reason });
  },
};

const BLOBS: Pick<Handlers, 'fill' | 'prefetch' | 'pushed' | 'sealed' | 'evicted' | 'corrupt'> = {
  fill: ({ state, digest, origin, bytes, seconds, problem }, { fills, fillSeconds }, tell) => {
    fills.inc({ state });
    if (state === 'sealed') fillSeconds.observe(seconds);
    const level = state === 'failed' ? 'warn' : 'debug';
    tell(level, `fill ${state}`, { digest: shortOf(digest), origin, bytes, seconds, problem }, origin);
  },
  prefetch: ({ outcome, digest, problem }, { prefetches }, tell) => {
    prefetches.inc({ outcome });
    tell('debug', `prefetch ${outcome}`, { digest: shortOf(digest), problem });
  },
  pushed: ({ origin, digest, bytes, isKept }, { pushedBytes }, tell) => {
    pushedBytes.inc({ origin, kept: String(isKept) }, bytes);
    tell('debug', isKept ? 'pushed and kept' : 'pushed', { digest: shortOf(digest), origin, bytes });
  },
  sealed: ({ digest, size }, _metrics, tell) => tell('debug', 'sealed', { digest, size }),
  evicted: ({ digest, size }, { evictions }, tell) => {
    evictions.inc();
    tell('debug', 'evicted', { digest, size });
  },
  corrupt: ({ where, digest, detail }, { quarantined, piecesRejected }, tell) => {
    if (where === 'disk') quarantined.inc();
    else piecesRejected.inc({ reason: `corrupt_${where}` });
    tell('warn', `corrupt bytes from ${where}`, { digest, detail }, `${where} ${digest}`);
  },
};

const SWARM: Pick<Handlers, 'lease' | 'piece_rejected' | 'quarantined' | 'announced' | 'lookup' | 'link'> = {
  lease: ({ outcome }, { leases }, tell) => {
    leases.inc({ outcome });
    tell('debug', `lease ${outcome}`, {});
  },
  piece_rejected: ({ reason, member, digest }, { piecesRejected }, tell) => {
    piecesRejected.inc({ reason });
    tell('warn', 'a member sent what was not attested', { member, reason, digest: shortOf(digest) }, member);
  },
  quarantined: ({ member, why, ms }, { quarantined, errors }, tell) => {
    quarantined.inc();
    // Tells a member from a blob, and one that lied from one that only went away.
    errors.inc({ kind: `member_${why}` });
    tell('warn', 'a member is left alone for a while', { member, why, seconds: Math.round(ms / 1000) }, member);
  },
  announced: ({ blobs }, { announced }, tell) => {
    announced.inc(blobs);
    tell('debug', 'announced', { blobs });
  },
  lookup: ({ seconds, holders }, { lookupSeconds }, tell) => {
    lookupSeconds.observe(seconds);
    tell('debug', 'looked up', { seconds, holders });
  },
  link: ({ state, member, reason }, { errors }, tell) => {
    if (state !== 'refused') return tell('debug', `link ${state}`, { member, reason });
    errors.inc({ kind: 'link_refused' });
    // By its reason: a stranger that tries from many addresses is one line all the same.
    return tell('warn', 'a link was refused', { member, reason }, reason ?? '');
  },
};

const PROXY: Pick<Handlers, 'proxied'> = {
  proxied: ({ outcome, target, bytes, problem }, { proxied, proxiedBytes }, tell) => {
    proxied.inc({ outcome });
    proxiedBytes.inc({ outcome }, bytes);
    const isTrouble = outcome === 'refused' || outcome === 'failed';
    tell(isTrouble ? 'warn' : 'debug', `proxy ${outcome}`, { target, bytes, problem }, target);
  },
};

const TROUBLE: Pick<Handlers, 'breaker' | 'masked' | 'store_state' | 'error'> = {
  breaker: ({ origin, state }, { originBreaker }, tell) => {
    originBreaker.set({ origin }, BREAKER[state]);
    if (state === 'open') tell('warn', 'origin does not answer; not asking it for a while', { origin }, origin);
    if (state === 'closed') tell('info', 'origin answers again', { origin }, origin);
  },
  masked: ({ origin, target, problem }, { errors }, tell) => {
    errors.inc({ kind: 'masked' });
    tell('warn', 'answered not found: the origin failed', { origin, target: target.split('?', 1)[0], problem }, origin);
  },
  store_state: ({ passThrough }, { errors }, tell) => {
    if (passThrough === undefined) {
      tell('info', 'the store takes blobs again', {}, 'store');
    } else {
      errors.inc({ kind: 'pass_through' });
      tell('warn', 'the store takes nothing; blobs are passed through', { reason: passThrough }, passThrough);
    }
  },
  error: ({ where, problem }, { errors }, tell) => {
    errors.inc({ kind: where });
    // Members come, go and are busy; a person is needed only for what is ours.
    tell(OTHERS.has(where) ? 'warn' : 'error', problem, { where }, where + problem);
  },
};

const HANDLERS: Handlers = { ...TRAFFIC, ...BLOBS, ...SWARM, ...PROXY, ...TROUBLE };

function tellOf<K extends Kind>(
  happening: Extract<Happening, { readonly kind: K }>,
): (metrics: Metrics, tell: Tell) => void {
  const handle = HANDLERS[happening.kind] as (told: typeof happening, metrics: Metrics, tell: Tell) => void;
  return (metrics, tell) => handle(happening, metrics, tell);
}

function teller(log: pino.Logger, now: () => number): Tell {
  const toldAt = new Map<string, number>();
  return (level, message, facts, about) => {
    if (about !== undefined && level !== 'debug') {
      const key = `${message} ${about}`;
      const last = toldAt.get(key);
      if (last !== undefined && now() - last < REPEAT_MS) return;
      if (toldAt.size >= REPEATS_MAX) toldAt.clear();
      toldAt.set(key, now());
    }
    log[level](bounded(facts), message.slice(0, TEXT_CHARS_MAX));
  };
}

function bounded(facts: Facts): Facts {
  const entries = Object.entries(facts).map(([name, value]) => [
    name,
    typeof value === 'string' ? value.slice(0, TEXT_CHARS_MAX) : value,
  ]);
  return Object.fromEntries(entries);
}
