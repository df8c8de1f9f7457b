import { planPieces } from '@drayage/core';
import type { MemberEvent } from '@drayage/exchange';
import { expect, test } from 'vitest';
import type { Link } from '../link/types.ts';
import type { Carrier } from './carrier.ts';
import { listenerOf } from './listener.ts';
import type { Listener } from './mesh.ts';
import type { Neighbour } from './neighbours.ts';
import type { Inside } from './part-types.ts';

interface Scene {
  readonly listener: Listener;
  readonly link: Link;
  readonly events: MemberEvent[];
  readonly gone: number[];
}

/** A part of four pieces with one neighbour, whose channel is 5. */
function setScene(): Scene {
  const events: MemberEvent[] = [];
  const gone: number[] = [];
  const link = { member: 'm', gone: (_channel: number, piece: number) => void gone.push(piece) } as Link;
  const neighbour: Neighbour = { id: 7, member: 'm', link, own: 1, theirs: 5 };
  const inside = { plan: planPieces(4 * 262_144), step: (event: MemberEvent) => void events.push(event) };
  const neighbours = { byTheirs: (_link: Link, channel: number) => (channel === 5 ? neighbour : undefined) };
  return { listener: listenerOf(inside as Inside, { neighbours } as unknown as Carrier), link, events, gone }; // a listener asks only who the neighbours are
}

test('pieces that the blob does not have are not heard of', () => {
  const { listener, link, events } = setScene();
  listener.has(link, 5, [0, 3, 4, 200_000], 1);
  listener.lost(link, 5, [4, 1]);
  expect(events).toMatchObject([{ pieces: [0, 3] }, { pieces: [1] }]);
});

test('what cannot be had is gone at once: a piece beyond the last, or on a channel that is nobody’s', () => {
  const { listener, link, events, gone } = setScene();
  listener.wants(link, { channel: 5, piece: 4, inFlight: 0 });
  listener.wants(link, { channel: 6, piece: 0, inFlight: 0 });
  expect(gone).toEqual([4, 0]);
  expect(events).toEqual([]);
});

test('of a flood of offers as many are heard as there can be slots, and in a moment others again', async () => {
  const { listener, link, events } = setScene();
  for (let at = 0; at < 1000; at++) listener.offered(link, 5, true);
  expect(events).toHaveLength(16);
  await new Promise((resolve) => setImmediate(resolve));
  listener.offered(link, 5, true);
  expect(events).toHaveLength(17);
});
