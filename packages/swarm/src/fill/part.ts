import {
  addPiece,
  emptyBitmap,
  isComplete,
  type Member,
  type MemberEvent,
  newMember,
  nextDue,
  stepMember,
} from '@drayage/exchange';
import { type Carrier, carrier } from './carrier.ts';
import { listenerOf } from './listener.ts';
import type { Inside, Part, PartParts } from './part-types.ts';

/** A sealed blob that nobody asks for pieces of is left alone after this long. */
const LINGER_MS = 30_000;

export function takePart(parts: PartParts): Part {
  const { shared, filling } = parts;
  const { now } = shared;
  const stop = new AbortController();
  const proven = Promise.withResolvers<void>();
  // Whoever only serves has nobody to tell.
  proven.promise.catch(() => {});
  let member = begin(parts);
  let usedAt = now();

  const inside: Inside = {
    ...parts,
    member: () => member,
    listener: () => part,
    step: (event) => step(event),
    restart() {
      carry.neighbours.closeAll();
      member = begin(parts);
    },
    end,
    signal: stop.signal,
  };
  const carry = carrier(inside);

  const step = stepper((event) => {
    if (stop.signal.aborted) return;
    try {
      for (const decision of stepMember(member, now(), event)) carry.out(decision);
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)));
    }
    if (!stop.signal.aborted) clock.ring(nextDue(member));
  });

  const clock = openClock(now, () => {
    carry.look();
    if (carry.neighbours.size() > 0 || !member.isSealed) usedAt = now();
    else if (now() - usedAt > LINGER_MS) return void close();
    step({ kind: 'tick' });
  });

  function end(outcome: 'proven' | Error): void {
    if (outcome === 'proven') {
      proven.resolve();
      // On a disk that cannot keep it, there is nothing to serve.
      if (shared.store.sizeOf(parts.digest) !== undefined) return;
    } else proven.reject(outcome);
    void close();
  }

  async function close(): Promise<void> {
    if (stop.signal.aborted) return;
    stop.abort(new Error('this part is over'));
    clock.stop();
    parts.over();
    await carry[Symbol.asyncDispose]();
  }

  const part: Part = {
    ...listenerOf(inside, carry),
    ...homeWords(inside, carry),
    proven: proven.promise,
    size: parts.plan.size,
    async stop(reason) {
      proven.reject(reason);
      await close();
    },
  };
  // What an earlier fill left may be all of it.
  if (filling && isComplete(member)) carry.out({ kind: 'seal' });
  step({ kind: 'tick' });
  return part;
}

/** One event after the other, also when one brings about the next. */
function stepper(take: (event: MemberEvent) => void): (event: MemberEvent) => void {
  const events: MemberEvent[] = [];
  let isStepping = false;
  return (event) => {
    events.push(event);
    if (isStepping) return;
    isStepping = true;
    for (let next = events.shift(); next; next = events.shift()) take(next);
    isStepping = false;
  };
}

/** What a home says. */
function homeWords(
  { shared, filling, step }: Inside,
  carry: Carrier,
): Pick<Part, 'leased' | 'questioned' | 'withdrawn'> {
  return {
    leased(home, run) {
      shared.report({ kind: 'lease', outcome: 'granted' });
      filling?.story.note(`may fetch pieces ${run.start} to ${run.end - 1} from the origin`);
      step({ kind: 'leased', home, run });
    },
    questioned: (home) => carry.asked(() => step({ kind: 'questioned', home })),
    withdrawn(home) {
      shared.report({ kind: 'lease', outcome: 'withdrawn' });
      filling?.story.note('is no longer to fetch from the origin');
      step({ kind: 'withdrawn', home });
    },
  };
}

/** Calls once, at the earliest of the times it was told. */
function openClock(now: () => number, call: () => void): { ring(at: number): void; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Number.POSITIVE_INFINITY;
  let isStopped = false;

  function ringing(): void {
    dueAt = Number.POSITIVE_INFINITY;
    if (!isStopped) call();
  }

  return {
    ring(at) {
      if (at >= dueAt) return;
      clearTimeout(timer);
      dueAt = at;
      // What came in while this host was busy is heard before anyone is called late.
      timer = setTimeout(() => setImmediate(ringing), Math.max(0, at - now()));
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

function begin({ shared, plan, homes, filling, sealed }: PartParts): Member {
  const { roll, zone, uplinkBytesPerSecond, standing, random, now } = shared;
  const held = emptyBitmap(plan.count);
  for (let piece = 0; piece < plan.count; piece++) if (filling?.draft.has(piece)) addPiece(held, piece);
  const parts = { self: roll.self, plan, homes, zone, uplinkBytesPerSecond, standing, random };
  return newMember({ ...parts, held, ...(sealed && { sealed }) }, now());
}
