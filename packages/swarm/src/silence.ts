const SILENCE_MS = 10_000;
const MEMBERS_MAX = 1024;

/** Which homes did not answer lately: the others are asked before them. */
export interface Silence {
  note(home: string, isSilent: boolean): void;
  isSilent(home: string): boolean;
  /** The same homes, the silent ones last. */
  last(homes: readonly string[]): string[];
}

export function keepSilence(now: () => number): Silence {
  const until = new Map<string, number>();
  const isSilent = (home: string) => (until.get(home) ?? 0) > now();
  return {
    isSilent,
    note(home, isNowSilent) {
      until.delete(home);
      for (const oldest of until.keys()) if (until.size >= MEMBERS_MAX) until.delete(oldest);
      if (isNowSilent) until.set(home, now() + SILENCE_MS);
    },
    last: (homes) => [...homes.filter((home) => !isSilent(home)), ...homes.filter(isSilent)],
  };
}
