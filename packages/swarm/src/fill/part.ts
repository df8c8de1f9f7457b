import {
  addPiece,
  emptyBitmap,
  type Member,
  type MemberEvent,
  newMember,
  nextDue,
  stepMember,
} from '@drayage/exchange';
import { carrier } from './carrier.ts';
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
  const events: MemberEvent[] = [];
  let member = begin(parts);
  let isStepping = false;
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Number.POSITIVE_INFINITY;
  let usedAt = now();

  const inside: Inside = {
    ...parts,
    member: () => member,
    listener: () => part,
    step,
    restart() {
      carry.neighbours.closeAll();
      member = begin(parts);
    },
    end,
    signal: stop.signal,
  };
  const carry = carrier(inside);

  function step(event: MemberEvent): void {
    if (stop.signal.aborted) return;
    events.push(event);
    if (isStepping) return;
    isStepping = true;
    try {
      for (let next = events.shift(); next; next = events.shift())
        for (const decision of stepMember(member, now(), next)) carry.out(decision);
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)));
    } finally {
      isStepping = false;
    }
    planTick();
  }

  function planTick(): void {
    const due = nextDue(member);
    if (stop.signal.aborted || due >= dueAt) return;
    clearTimeout(timer);
    dueAt = due;
    // What came in while this host was busy is heard before anyone is called late.
    timer = setTimeout(() => setImmediate(tick), Math.max(0, due - now()));
  }

  function tick(): void {
    if (stop.signal.aborted) return;
    dueAt = Number.POSITIVE_INFINITY;
    carry.look();
    if (carry.neighbours.size() > 0 || !member.isSealed) usedAt = now();
    else if (now() - usedAt > LINGER_MS) return void close();
    step({ kind: 'tick' });
    planTick();
  }

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
    clearTimeout(timer);
    parts.over();
    await carry[Symbol.asyncDispose]();
  }

  const part: Part = {
    ...listenerOf(inside, carry),
    proven: proven.promise,
    size: parts.plan.size,
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
    async stop(reason) {
      proven.reject(reason);
      await close();
    },
  };
  step({ kind: 'tick' });
  return part;
}

function begin({ shared, plan, homes, filling, sealed }: PartParts): Member {
  const { roll, zone, uplinkBytesPerSecond, standing, random, now } = shared;
  const held = emptyBitmap(plan.count);
  for (let piece = 0; piece < plan.count; piece++) if (filling?.draft.has(piece)) addPiece(held, piece);
  const parts = { self: roll.self, plan, homes, zone, uplinkBytesPerSecond, standing, random };
  return newMember({ ...parts, held, ...(sealed && { sealed }) }, now());
}
