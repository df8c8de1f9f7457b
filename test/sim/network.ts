import { createTimeline } from './timeline.ts';

/** Bytes on their way from one end to another. */
export interface Flow {
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
  readonly cap: number;
  readonly done: () => void;
  left: number;
  /** Bytes per ms. */
  rate: number;
  sinceMs: number;
  endsAt: number;
  /** A newer date of ending makes older ones void. */
  version: number;
  isOver: boolean;
}

/** An end of the network: a host, or the origin. */
interface End {
  readonly up: number;
  readonly down: number;
  readonly out: Flow[];
  readonly in: Flow[];
  /** What each flow gets at most of the uplink and of the downlink, so that all is used and nobody gets less than another. */
  upLevel: number;
  downLevel: number;
}

/** Ends whose share is worked out anew when a flow starts or stops: the change dies away after a few. */
const RELAXED_MAX = 24;
const QUEUED_MAX = 48;
/** Changes smaller than this part are not passed on. */
const TOLERANCE = 0.03;

export interface Network {
  readonly nextAt: () => number;
  /** Ends the flow that is due first. */
  finishNext(now: number): void;
  start(flow: Pick<Flow, 'from' | 'to' | 'bytes' | 'cap' | 'done'>, now: number): Flow;
  /** Takes a flow away; says how many bytes it moved. */
  stop(flow: Flow, now: number): number;
  incoming(end: number): readonly Flow[];
  outgoing(end: number): readonly Flow[];
}

/** A network without bottleneck inside: max-min-fair shares of every uplink and downlink. Rates in bytes per ms. */
export function createNetwork(uplinks: Float64Array, downlinks: Float64Array): Network {
  const ends: End[] = Array.from(uplinks, (up, index) => ({
    up,
    down: downlinks[index] ?? 0,
    out: [],
    in: [],
    upLevel: Number.POSITIVE_INFINITY,
    downLevel: Number.POSITIVE_INFINITY,
  }));
  const endings = createTimeline<{ readonly flow: Flow; readonly version: number }>();
  const shares: number[] = [];
  const queue: number[] = [];

  /** The highest level at which the flows together do not take more than there is. */
  function levelOf(capacity: number, flows: readonly Flow[], isUp: boolean): number {
    shares.length = 0;
    for (const flow of flows) {
      const other = isUp ? (ends[flow.to] as End).downLevel : (ends[flow.from] as End).upLevel;
      shares.push(Math.min(flow.cap, other));
    }
    if (shares.length > 1) shares.sort((a, b) => a - b);
    let rest = capacity;
    for (let index = 0; index < shares.length; index++) {
      const even = rest / (shares.length - index);
      const share = shares[index] as number;
      if (share > even) return even;
      rest -= share;
    }
    return Number.POSITIVE_INFINITY;
  }

  function setRate(flow: Flow, now: number): void {
    const rate = Math.min((ends[flow.from] as End).upLevel, (ends[flow.to] as End).downLevel, flow.cap);
    if (Math.abs(rate - flow.rate) <= 1e-9 * rate) return;
    flow.left -= flow.rate * (now - flow.sinceMs);
    flow.sinceMs = now;
    flow.rate = rate;
    const endsAt = now + Math.max(0, flow.left) / rate;
    // A later ending is found out when the earlier one comes up.
    if (endsAt >= flow.endsAt - 1e-9) return;
    flow.endsAt = endsAt;
    flow.version++;
    endings.put(endsAt, { flow, version: flow.version });
  }

  function relax(from: number, to: number, now: number): void {
    queue.length = 0;
    queue.push(from << 1, (to << 1) | 1);
    for (let done = 0; done < queue.length && done < RELAXED_MAX; done++) {
      const next = queue[done] as number;
      const end = ends[next >> 1] as End;
      const isUp = (next & 1) === 0;
      const flows = isUp ? end.out : end.in;
      const level = levelOf(isUp ? end.up : end.down, flows, isUp);
      const before = isUp ? end.upLevel : end.downLevel;
      if (isUp) end.upLevel = level;
      else end.downLevel = level;
      const isSmall = level === before || Math.abs(level - before) <= TOLERANCE * Math.min(level, before);
      if (done > 1 && isSmall) continue;
      for (const flow of flows) {
        const rate = flow.rate;
        setRate(flow, now);
        if (queue.length >= QUEUED_MAX || Math.abs(flow.rate - rate) <= TOLERANCE * rate) continue;
        queue.push(isUp ? (flow.to << 1) | 1 : flow.from << 1);
      }
    }
  }

  function detach(flow: Flow, now: number): void {
    flow.isOver = true;
    remove((ends[flow.from] as End).out, flow);
    remove((ends[flow.to] as End).in, flow);
    relax(flow.from, flow.to, now);
  }

  /** Drops endings that no longer hold, and puts right those that come later by now. */
  function settle(): void {
    for (let at = endings.firstAt(); at < Number.POSITIVE_INFINITY; at = endings.firstAt()) {
      const ending = endings.peek();
      if (!ending) return;
      const { flow, version } = ending;
      if (!flow.isOver && version === flow.version) {
        const endsAt = flow.sinceMs + flow.left / flow.rate;
        if (endsAt <= at + 1e-6) return;
        flow.endsAt = endsAt;
        endings.take();
        endings.put(endsAt, ending);
      } else endings.take();
    }
  }

  return {
    nextAt() {
      settle();
      return endings.firstAt();
    },
    finishNext(now) {
      settle();
      const flow = endings.take()?.flow;
      if (!flow) return;
      detach(flow, now);
      flow.done();
    },
    start(parts, now) {
      const flow: Flow = {
        ...parts,
        left: parts.bytes,
        rate: 0,
        sinceMs: now,
        endsAt: Number.POSITIVE_INFINITY,
        version: 0,
        isOver: false,
      };
      const from = ends[flow.from] as End;
      from.out.push(flow);
      (ends[flow.to] as End).in.push(flow);
      if (from.out.length === 1) from.upLevel = from.up;
      relax(flow.from, flow.to, now);
      setRate(flow, now);
      return flow;
    },
    stop(flow, now) {
      if (flow.isOver) return 0;
      const moved = flow.bytes - flow.left + flow.rate * (now - flow.sinceMs);
      detach(flow, now);
      return moved;
    },
    incoming: (end) => (ends[end] as End).in,
    outgoing: (end) => (ends[end] as End).out,
  };
}

function remove(flows: Flow[], flow: Flow): void {
  const last = flows.pop();
  if (last && last !== flow) flows[flows.indexOf(flow)] = last;
}
