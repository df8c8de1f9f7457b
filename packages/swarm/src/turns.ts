/** Runs so many pieces of work at once; the others wait their turn. */
export function turns(atOnce: number): <Result>(work: () => Promise<Result>) => Promise<Result> {
  const queue: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= atOnce) await new Promise<void>((resolve) => queue.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      // The place goes straight to the next in line.
      const next = queue.shift();
      if (next) next();
      else running--;
    }
  };
}
