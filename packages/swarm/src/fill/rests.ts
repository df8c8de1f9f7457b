const MEMBERS_MAX = 4096;
const REST_MS = 1000;
const REST_MS_MAX = 8000;

interface Rest {
  readonly until: number;
  readonly ms: number;
}

/** Who could not be reached a moment ago. A handshake costs both sides milliseconds, and who leaves us alone will do so again. */
export interface Rests {
  isOn(member: string): boolean;
  /** It could not be reached: nobody tries for a second, and longer each time. */
  begin(member: string): void;
  /** It was reached. */
  end(member: string): void;
}

export function keepRests(now: () => number): Rests {
  const rests = new Map<string, Rest>();
  return {
    isOn: (member) => now() < (rests.get(member)?.until ?? 0),
    begin(member) {
      const ms = Math.min(REST_MS_MAX, 2 * (rests.get(member)?.ms ?? REST_MS / 2));
      rests.delete(member);
      rests.set(member, { until: now() + ms, ms });
      const [oldest] = rests.keys();
      if (rests.size > MEMBERS_MAX && oldest !== undefined) rests.delete(oldest);
    },
    end: (member) => void rests.delete(member),
  };
}
