/** Parts of a wait. Each counts once however late it ends, so that a busy host does not take its disk for a hung one. */
const PARTS = 10;

/**
 * The promise's outcome, or a failure once it has taken this long. What it was doing goes on unwatched. Time that this
 * process was too busy to look does not count: what the disk has done by then is heard first.
 */
export async function withinMs<T>(waitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    let left = PARTS;
    const wait = () => {
      if (left-- > 0) timer = setTimeout(wait, waitMs / PARTS);
      else reject(new Error(`nothing happened within ${waitMs} ms`));
    };
    wait();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
