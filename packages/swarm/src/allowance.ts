/** What each member may still ask of us. */
export interface Allowances {
  /** Whether the member may ask this much now; it is taken from what it may ask. */
  take(member: string, cost: number): boolean;
}

export interface AllowanceParts {
  readonly perSecond: number;
  /** What a member that was quiet may ask at once. */
  readonly most: number;
  readonly now: () => number;
}

const MEMBERS_MAX = 4096;

/** One bucket a member, whatever streams and connections it opens: hanging up does not fill it. */
export function keepAllowances({ perSecond, most, now }: AllowanceParts): Allowances {
  const left = new Map<string, { readonly amount: number; readonly at: number }>();
  return {
    take(member, cost) {
      const before = left.get(member) ?? { amount: most, at: now() };
      const amount = Math.min(most, before.amount + ((now() - before.at) / 1000) * perSecond) - cost;
      left.delete(member);
      for (const oldest of left.keys()) if (left.size >= MEMBERS_MAX) left.delete(oldest);
      left.set(member, { amount: Math.max(amount, 0), at: now() });
      return amount >= 0;
    },
  };
}
