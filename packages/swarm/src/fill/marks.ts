import type { MemberStatus } from '../types.ts';

const MARKS_MAX = 4096;
/** One that broke the rules of a link is not linked with again for this long: it would only do so again. */
const SHUN_MS = 60_000;

type Mark = NonNullable<MemberStatus['quarantine']>;

/** Who is left alone, and until when, over all blobs. */
export interface Marks {
  add(member: string, ms: number, why: Mark['why']): void;
  /** Leaves a member alone for a little while, without a word about it. */
  shun(member: string): void;
  /** No link with it. A liar is given to, see `giveOnly`. */
  isBarred(member: string): boolean;
  /** It may be asked. */
  isTrusted(member: string): boolean;
  /** Those in quarantine. */
  list(): ReadonlyMap<string, Mark>;
}

export function keepMarks(now: () => number): Marks {
  const marks = new Map<string, Mark>();
  const shunned = new Map<string, { readonly until: number }>();
  const isOn = (mark: { readonly until: number } | undefined) => mark !== undefined && mark.until > now();
  const isBarred = (member: string) => {
    const mark = marks.get(member);
    return (mark?.why !== 'lie' && isOn(mark)) || isOn(shunned.get(member));
  };

  return {
    add: (member, ms, why) => remember(marks, member, { until: now() + ms, why }),
    shun: (member) => remember(shunned, member, { until: now() + SHUN_MS }),
    isBarred,
    isTrusted: (member) => !isBarred(member) && !isOn(marks.get(member)),
    list() {
      for (const [member, mark] of marks) if (!isOn(mark)) marks.delete(member);
      return marks;
    },
  };
}

function remember<T>(record: Map<string, T>, member: string, mark: T): void {
  record.delete(member);
  record.set(member, mark);
  const [oldest] = record.keys();
  if (record.size > MARKS_MAX && oldest !== undefined) record.delete(oldest);
}
