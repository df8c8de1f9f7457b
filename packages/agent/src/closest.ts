const DISTANCE_MAX = 3;
const CHARS_MAX = 40;

/** The names nearest to a mistyped one, where any is near, three at most. */
export function closest(typed: string, names: readonly string[]): readonly string[] {
  if (typed.length > CHARS_MAX) return [];
  const near = names
    .map((name) => ({ name, distance: name.startsWith(typed) && typed !== '' ? 1 : distance(typed, name) }))
    .filter((candidate) => candidate.distance <= Math.min(DISTANCE_MAX, Math.ceil(typed.length / 2)));
  const best = Math.min(...near.map((candidate) => candidate.distance));
  return near
    .filter((candidate) => candidate.distance === best)
    .sort((a, b) => a.name.localeCompare(b.name))
    .slice(0, 3)
    .map((candidate) => candidate.name);
}

/** ` (did you mean status?)`, or nothing when no name is near. */
export function didYouMean(typed: string, names: readonly string[]): string {
  const near = closest(typed, names);
  return near.length === 0 ? '' : ` (did you mean ${near.join(' or ')}?)`;
}

function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let line = 1; line <= from.length; line += 1) {
    const next = [line];
    for (let column = 1; column <= to.length; column += 1) {
      const swap = (row[column - 1] ?? 0) + (from[line - 1] === to[column - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
