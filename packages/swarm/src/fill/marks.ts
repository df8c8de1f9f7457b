import type { MemberStatus } from '../types.ts';

const MARKS_MAX = 4096;

type Mark = NonNullable<MemberStatus['quarantine']>;

/** Who is left alone, and until when, over all blobs. Told to nobody, so nobody can be defamed. */
export interface Marks {
  add(member: string, ms: number, why: Mark['why']): void;
  isBarred(member: string): boolean;
  list(): ReadonlyMap<string, Mark>;
}

export function keepMarks(now: () => number): Marks {
  const marks = new Map<string, Mark>();

  function list(): ReadonlyMap<string, Mark> {
    for (const [member, { until }] of marks) if (until <= now()) marks.delete(member);
    return marks;
  }

  return {
    add(member, ms, why) {
      marks.delete(member);
      marks.set(member, { until: now() + ms, why });
      const [oldest] = marks.keys();
      if (marks.size > MARKS_MAX && oldest !== undefined) marks.delete(oldest);
    },
    isBarred: (member) => (marks.get(member)?.until ?? 0) > now(),
    list,
  };
}
