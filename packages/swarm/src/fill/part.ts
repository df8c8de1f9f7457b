import { describe, Failure, type Report, shortOf } from '@drayage/core';
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
/** The same while members are linked for it: whoever only keeps a channel open must not keep the blob's place. */
const LINKED_LINGER_MS = 300_000;
/** Times that pieces may vanish from the disk before it is given up. */
const RESTARTS_MAX = 5;

export function takePart(parts: PartParts): Part {
  const { shared, filling } = parts;
  const { now } = shared;
  const stop = new AbortController();
  const proven = Promise.withResolvers<void>();
  // Whoever only serves has nobody to tell.
  proven.promise.catch(() => {});
  const closed = Promise.withResolvers<void>();
  let member = begin(parts);
  let usedAt = now();
  let restarts = 0;
  const inside: Inside = {
    ...parts,
    member: () => member,
    listener: () => part,
    step: (event) => step(event),
    restart() {
      const problem = `the disk keeps losing pieces of ${shortOf(parts.digest)}`;
      if (++restarts > RESTARTS_MAX) return end(new Failure('disk_failed', problem));
      carry.letGo();
      member = begin(parts);
    },
    end,
    signal: stop.signal,
  };
  const carry = carrier(inside);
  const step = stepper((event) => {
    if (stop.signal.aborted) return;
    for (const decision of stepMember(member, now(), event)) carry.out(decision);
    if (!stop.signal.aborted) clock.ring(nextDue(member));
  }, end);

  const clock = openClock(now, (lateMs) => {
    attempt(carry.look, end);
    if (!member.isSealed || member.uploading > 0) usedAt = now();
    else if (now() - usedAt > lingerOf(carry)) return close();
    step({ kind: 'tick', lateMs });
  });

  function end(outcome: 'proven' | Error): void {
    if (outcome === 'proven') proven.resolve();
    else proven.reject(outcome);
    // On a disk that cannot keep it, there is nothing to serve.
    if (outcome !== 'proven' || shared.store.sizeOf(parts.digest) === undefined) close();
  }

  function close(): void {
    if (stop.signal.aborted) return;
    stop.abort(new Error('this part is over'));
    clock.stop();
    parts.over();
    void disposeOf(carry, shared.report).finally(closed.resolve);
  }

  const part: Part = {
    ...listenerOf(inside, carry),
    ...homeWords(inside, carry),
    proven: proven.promise,
    size: parts.plan.size,
    async stop(reason) {
      proven.reject(reason);
      close();
      await closed.promise;
    },
  };
  // What an earlier fill left may be all of it.
  if (filling && isComplete(member)) carry.out({ kind: 'seal' });
  step({ kind: 'tick' });
  return part;
}

function lingerOf({ neighbours }: Carrier): number {
  return neighbours.size() > 0 ? LINKED_LINGER_MS : LINGER_MS;
}

/** Never rejects: most of those who end a part have nobody to tell. */
async function disposeOf(carry: Carrier, report: Report): Promise<void> {
  try {
    await carry[Symbol.asyncDispose]();
  } catch (error) {
    report({ kind: 'error', where: 'exchange', problem: describe(error) });
  }
}

/** A fault of ours ends the part, and nothing else. */
function attempt(work: () => void, end: (error: Error) => void): void {
  try {
    work();
  } catch (error) {
    end(error instanceof Error ? error : new Error(String(error)));
  }
}

/** One event after the other, also when one brings about the next. */
function stepper(take: (event: MemberEvent) => void, end: (error: Error) => void): (event: MemberEvent) => void {
  const events: MemberEvent[] = [];
  let isStepping = false;
  return (event) => {
    events.push(event);
    if (isStepping) return;
    isStepping = true;
    for (let next = events.shift(); next; next = events.shift()) attempt(() => take(next), end);
    isStepping = false;
  };
}

/** What a home says. */
function homeWords(
  { shared, filling, step, member }: Inside,
  carry: Carrier,
): Pick<Part, 'isHome' | 'leased' | 'questioned' | 'withdrawn'> {
  return {
    isHome(id) {
      const { homes, home } = member();
      return homes[home.index] === id;
    },
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
function openClock(now: () => number, call: (lateMs: number) => void): { ring(at: number): void; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Number.POSITIVE_INFINITY;
  let isStopped = false;

  function ringing(): void {
    const lateMs = Math.max(0, now() - dueAt);
    dueAt = Number.POSITIVE_INFINITY;
    if (!isStopped) call(lateMs);
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
  const { roll, zone, uplink, standing, random, now } = shared;
  const held = emptyBitmap(plan.count);
  for (let piece = 0; piece < plan.count; piece++) if (filling?.draft.has(piece)) addPiece(held, piece);
  const parts = { self: roll.self, plan, homes: homes(), zone, uplink, standing, random };
  return newMember({ ...parts, held, ...(sealed && { sealed }) }, now());
}
