import { sha256 } from '@drayage/core';
import type { MemberEvent } from '@drayage/exchange';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Link, OpenTerms } from '../link/types.ts';
import type { Listener, Mesh } from './mesh.ts';
import { keepNeighbours, type Neighbours } from './neighbours.ts';
import { openRoll, type Roll } from './roll.ts';

const DIGEST = sha256(Buffer.from('a blob'));
const TERMS: OpenTerms = { zone: undefined };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Side {
  readonly name: string;
  readonly neighbours: Neighbours;
  readonly roll: Roll;
  readonly events: string[];
  readonly stop: AbortController;
  /** The link that the next `connect` is given. */
  reached: Promise<Link>;
}

interface Wire {
  readonly ends: { readonly a: Link; readonly b: Link };
  end(): void;
}

interface Scene {
  readonly a: Side;
  readonly b: Side;
  wire(dialler: 'a' | 'b'): Wire;
  /** Delivers what is on its way, and what that brings about: how many messages that were. */
  settle(): Promise<number>;
}

/** Two members, of which `a` has the lesser name, and wires between them on which each message waits for its delivery. */
function setScene(): Scene {
  const queue: (() => void)[] = [];
  const places = new Map<Link, { readonly far: Link; readonly to: 'a' | 'b' }>();
  let channels = 0;

  function sideOf(name: 'a' | 'b'): Side {
    const roll = openRoll({ member: name, links: [], zone: undefined });
    const other = name === 'a' ? 'b' : 'a';
    roll.note({ member: other, links: [{ host: 'h', port: 1 }], zone: undefined });
    const events: string[] = [];
    const stop = new AbortController();
    const send = (link: Link, deliver: (side: Side, far: Link) => void) => {
      const place = places.get(link);
      if (place) queue.push(() => place.far.isOpen() && deliver(scene[place.to], place.far));
    };
    const mesh: Pick<Mesh, 'reach' | 'open' | 'close' | 'forget'> = {
      reach: () => side.reached,
      open(link, _digest, terms) {
        if (!link.isOpen()) return undefined;
        const channel = channels++;
        send(link, ({ neighbours }, far) => neighbours.opened(far, channel, terms));
        return channel;
      },
      close: ({ link, own }) => send(link, ({ neighbours }, far) => neighbours.closed(far, own)),
      forget: () => {},
    };
    const side: Side = {
      ...{ name, roll, events, stop },
      reached: Promise.reject(new Error('nobody there')),
      neighbours: keepNeighbours({
        ...{ digest: DIGEST, self: name, roll, pieceCount: 1, size: 100, signal: stop.signal, terms: () => TERMS },
        mesh: mesh as Mesh,
        listener: () => ({}) as Listener,
        step: (event: MemberEvent) => void events.push(event.kind),
        greet: () => void events.push('greet'),
        gone: () => {},
      }),
    };
    side.reached.catch(() => {});
    return side;
  }

  const scene: Scene = {
    a: sideOf('a'),
    b: sideOf('b'),
    wire(dialler) {
      let isOpen = true;
      const endOf = (name: 'a' | 'b') =>
        ({
          member: name === 'a' ? 'b' : 'a',
          side: dialler === name ? 'dialler' : 'acceptor',
          isOpen: () => isOpen,
        }) as Link;
      const ends = { a: endOf('a'), b: endOf('b') };
      places.set(ends.a, { far: ends.b, to: 'b' });
      places.set(ends.b, { far: ends.a, to: 'a' });
      return {
        ends,
        end() {
          isOpen = false;
          scene.a.neighbours.ended(ends.a);
          scene.b.neighbours.ended(ends.b);
        },
      };
    },
    async settle() {
      let count = 0;
      await vi.advanceTimersByTimeAsync(0);
      for (let next = queue.shift(); next && count < 100; next = queue.shift()) {
        next();
        count++;
        await vi.advanceTimersByTimeAsync(0);
      }
      return count;
    },
  };
  return scene;
}

function connect(side: Side, link: Link): void {
  side.reached = Promise.resolve(link);
  side.neighbours.connect(side.roll.idOf(link.member));
}

const linksOf = ({ neighbours, roll }: Side): Link | undefined => {
  const neighbour = neighbours.of(roll.idOf(roll.memberOf(1) ?? ''));
  return neighbour?.theirs === undefined ? undefined : neighbour.link;
};

test('two members are linked when both have opened a channel, and each greets first', async () => {
  const scene = setScene();
  const { ends } = scene.wire('a');
  connect(scene.a, ends.a);
  expect(await scene.settle()).toBe(2);
  expect(scene.a.events).toEqual(['greet', 'linked']);
  expect(scene.b.events).toEqual(['greet', 'linked']);
});

test('channels that cross on one link make one neighbour', async () => {
  const scene = setScene();
  const { ends } = scene.wire('a');
  connect(scene.a, ends.a);
  connect(scene.b, ends.b);
  expect(await scene.settle()).toBe(2);
  expect([scene.a.events, scene.b.events]).toEqual([
    ['greet', 'linked'],
    ['greet', 'linked'],
  ]);
});

test.each(['a', 'b'] as const)(
  'channels that cross on two links end up on the one that the lesser name dialled',
  async (first) => {
    const scene = setScene();
    const [right, other] = [scene.wire('a'), scene.wire('b')];
    const [one, two] = first === 'a' ? [right, other] : [other, right];
    connect(scene.a, one.ends.a);
    connect(scene.b, two.ends.b);
    expect(await scene.settle()).toBeLessThan(10);
    expect(linksOf(scene.a)).toBe(right.ends.a);
    expect(linksOf(scene.b)).toBe(right.ends.b);
  },
);

test('an answer that comes after it was given up ends the matter', async () => {
  const scene = setScene();
  const { ends } = scene.wire('a');
  connect(scene.a, ends.a);
  await vi.advanceTimersByTimeAsync(3000);
  expect(scene.a.events).toEqual(['unlinked']);
  // The other side hears of it now: OPEN, then CLOSE.
  expect(await scene.settle()).toBeLessThan(10);
  expect([scene.a.neighbours.size(), scene.b.neighbours.size()]).toEqual([0, 0]);
});

test('a refusal is an answer, and over at once', async () => {
  const scene = setScene();
  const { ends } = scene.wire('a');
  connect(scene.a, ends.a);
  await vi.advanceTimersByTimeAsync(0);
  scene.a.neighbours.opened(ends.a, 99, { ...TERMS, isAnswer: true });
  scene.a.neighbours.closed(ends.a, 99);
  expect(scene.a.events).toEqual(['greet', 'linked', 'unlinked']);
  expect(scene.a.neighbours.size()).toBe(0);
});

test('a member that holds the blob to be of another size is none to exchange it with', async () => {
  const scene = setScene();
  const { ends } = scene.wire('a');
  scene.a.neighbours.opened(ends.a, 99, { ...TERMS, size: 101 });
  expect(scene.a.events).toEqual([]);
  scene.a.neighbours.opened(ends.a, 98, { ...TERMS, size: 100 });
  expect(scene.a.events).toEqual(['greet', 'linked']);
});

test('a member that cannot be reached is unlinked', async () => {
  const scene = setScene();
  scene.a.neighbours.connect(1);
  await scene.settle();
  expect(scene.a.events).toEqual(['unlinked']);
});

test('a link that ends while a channel is opened on it unlinks both', async () => {
  const scene = setScene();
  const wire = scene.wire('a');
  connect(scene.a, wire.ends.a);
  await vi.advanceTimersByTimeAsync(0);
  wire.end();
  expect(await scene.settle()).toBeLessThan(3);
  expect(scene.a.events).toEqual(['unlinked']);
  expect(scene.b.events).toEqual([]);
  await vi.advanceTimersByTimeAsync(5000);
  expect(scene.a.events).toEqual(['unlinked']);
});

test('a link that had ended when it was reached is no link', async () => {
  const scene = setScene();
  const wire = scene.wire('a');
  wire.end();
  connect(scene.a, wire.ends.a);
  await scene.settle();
  expect(scene.a.events).toEqual(['unlinked']);
});

test('a part that is over opens nothing, and leaves no timer behind', async () => {
  const scene = setScene();
  const { ends } = scene.wire('a');
  connect(scene.a, ends.a);
  await vi.advanceTimersByTimeAsync(0);
  scene.a.neighbours.closeAll();
  scene.a.stop.abort();
  connect(scene.a, ends.a);
  scene.a.neighbours.opened(ends.a, 99, TERMS);
  await scene.settle();
  expect(scene.a.neighbours.size()).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test('a member that opens the blob again and again has one channel that counts', async () => {
  const scene = setScene();
  const { ends } = scene.wire('a');
  for (let channel = 1000; channel < 2000; channel++) scene.a.neighbours.opened(ends.a, channel, TERMS);
  expect(scene.a.neighbours.size()).toBe(1);
  expect(scene.a.neighbours.byTheirs(ends.a, 1000)).toBeUndefined();
  expect(scene.a.neighbours.byTheirs(ends.a, 1999)).toBeDefined();
});
