const REPEAT_MS = 60_000;
const KEYS_MAX = 1024;

/** Lets each subject through once a minute: what stays wrong is told, and does not fill the log. */
export function sparingly(now: () => number): (subject: string) => boolean {
  const toldAt = new Map<string, number>();
  return (subject) => {
    const last = toldAt.get(subject);
    if (last !== undefined && now() - last < REPEAT_MS) return false;
    toldAt.delete(subject);
    for (const oldest of toldAt.keys()) if (toldAt.size >= KEYS_MAX) toldAt.delete(oldest);
    toldAt.set(subject, now());
    return true;
  };
}
