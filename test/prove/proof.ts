/** One promise about faults, shown by breaking things on purpose. */
export interface Proof {
  readonly name: string;
  readonly title: string;
  /** Programs it starts. */
  readonly needs: readonly string[];
  /** Throws when the promise is broken; `short` is the form for every change, else the full one. */
  run(folder: string, short: boolean): Promise<Figures>;
}

/** What was measured, by names that say the unit. */
export type Figures = Readonly<Record<string, number | string>>;

/** The value below which this share of the samples lies. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
