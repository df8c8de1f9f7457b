/** Times at which something is to be done, waited for with one timer. */
export interface Agenda<Item> {
  /** The item is due at this time, whatever was said before. */
  set(item: Item, at: number): void;
  /** The item is due at this time, unless it is sooner already. */
  hasten(item: Item, at: number): void;
  /** The items that are due, as soon as there are any; none when the signal ends the wait. They are taken off. */
  due(signal: AbortSignal): Promise<ReadonlySet<Item>>;
}

export function openAgenda<Item>(now: () => number): Agenda<Item> {
  const times = new Map<Item, number>();
  let wake: () => void = () => {};

  function set(item: Item, at: number): void {
    times.set(item, at);
    wake();
  }

  return {
    set,
    hasten(item, at) {
      if (at < (times.get(item) ?? Number.POSITIVE_INFINITY)) set(item, at);
    },
    async due(signal) {
      for (;;) {
        const ready = [...times].filter(([, at]) => at <= now()).map(([item]) => item);
        for (const item of ready) times.delete(item);
        if (ready.length > 0 || signal.aborted) return new Set(ready);
        await changeOr(Math.min(...times.values()) - now());
      }

      function changeOr(waitMs: number): Promise<void> {
        return new Promise((resolve) => {
          const timer = Number.isFinite(waitMs) ? setTimeout(end, Math.max(0, waitMs)) : undefined;
          wake = end;
          signal.addEventListener('abort', end, { once: true });
          function end(): void {
            clearTimeout(timer);
            signal.removeEventListener('abort', end);
            wake = () => {};
            resolve();
          }
        });
      }
    },
  };
}
