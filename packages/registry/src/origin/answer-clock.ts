/** Counts how long an origin takes over its answer. */
export interface AnswerClock {
  /** The same bytes; while they wait for their own source, the clock stands still, and every one that goes sets it back. */
  around(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  stop(): void;
}

export function startClock(waitMs: number, late: () => void): AnswerClock {
  let isStopped = false;
  let timer = setTimeout(late, waitMs);
  const pause = () => clearTimeout(timer);
  const run = () => {
    pause();
    if (!isStopped) timer = setTimeout(late, waitMs);
  };
  return {
    async *around(body) {
      pause();
      for await (const chunk of body) {
        run();
        yield chunk;
        pause();
      }
      run();
    },
    stop() {
      isStopped = true;
      pause();
    },
  };
}
