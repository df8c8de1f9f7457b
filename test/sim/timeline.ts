/** Things in order of time; those of one time in the order they were put in. */
export interface Timeline<T> {
  readonly length: number;
  /** When the first is due; infinite when there is none. */
  firstAt(): number;
  put(at: number, item: T): void;
  peek(): T | undefined;
  take(): T | undefined;
}

export function createTimeline<T>(): Timeline<T> {
  const times: number[] = [];
  const orders: number[] = [];
  const items: T[] = [];
  let made = 0;

  const isBefore = (at: number, order: number, place: number) =>
    at < (times[place] ?? 0) || (at === times[place] && order < (orders[place] ?? 0));

  function move(from: number, to: number): void {
    times[to] = times[from] as number;
    orders[to] = orders[from] as number;
    items[to] = items[from] as T;
  }

  function set(place: number, at: number, order: number, item: T): void {
    times[place] = at;
    orders[place] = order;
    items[place] = item;
  }

  return {
    get length() {
      return times.length;
    },
    firstAt: () => times[0] ?? Number.POSITIVE_INFINITY,
    peek: () => items[0],
    put(at, item) {
      const order = made++;
      let place = times.length;
      set(place, at, order, item);
      while (place > 0) {
        const parent = (place - 1) >> 1;
        if (!isBefore(at, order, parent)) break;
        move(parent, place);
        place = parent;
      }
      set(place, at, order, item);
    },
    take() {
      const first = items[0];
      const at = times.pop();
      const order = orders.pop();
      const item = items.pop();
      const length = times.length;
      if (at === undefined || order === undefined || length === 0) return first;
      let place = 0;
      for (;;) {
        let child = 2 * place + 1;
        if (child >= length) break;
        if (child + 1 < length && isBefore(times[child + 1] as number, orders[child + 1] as number, child)) child++;
        if (isBefore(at, order, child)) break;
        move(child, place);
        place = child;
      }
      set(place, at, order, item as T);
      return first;
    },
  };
}
