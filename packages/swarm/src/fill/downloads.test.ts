import { planPieces, sha256 } from '@drayage/core';
import type { MemberEvent } from '@drayage/exchange';
import { expect, test } from 'vitest';
import type { Link, Want } from '../link/types.ts';
import { pieceBuffers } from './buffers.ts';
import { type DownloadsParts, takeDownloads } from './downloads.ts';
import type { Neighbour } from './neighbours.ts';

const PLAN = planPieces(4 * 262_144);

/** A neighbour that notes what is asked of it, and is asked for more pieces than there are buffers. */
function setScene({ takesWants }: { readonly takesWants: boolean }) {
  const events: MemberEvent[] = [];
  const declined: number[] = [];
  const buffers = pieceBuffers();
  const link = {
    want: (_want: Want) => takesWants,
    decline: (_channel: number, inFlight: number) => void declined.push(inFlight),
  } as Link;
  const neighbour: Neighbour = { id: 7, member: 'm', link, own: 1, theirs: 5 };
  const parts: Partial<DownloadsParts> = { digest: sha256(Buffer.alloc(1)), plan: PLAN, buffers, now: () => 0 };
  // Nothing arrives here, so what an arrival needs is left out.
  const downloads = takeDownloads({ ...parts, step: (event) => void events.push(event) } as DownloadsParts);
  return { downloads, neighbour, events, declined, buffers };
}

test('an offer that no buffer is free for is declined, so that the other side offers again', () => {
  const { downloads, neighbour, events, declined, buffers } = setScene({ takesWants: true });
  while (buffers.take(PLAN.pieceBytes));
  downloads.request(neighbour, 2, 3);
  expect(declined).toEqual([2]);
  expect(events).toEqual([{ kind: 'refused', link: 7, piece: 2, why: 'busy' }]);
});

test('so is one on a link that takes no more, and the buffer is free again', () => {
  const { downloads, neighbour, declined, buffers } = setScene({ takesWants: false });
  downloads.request(neighbour, 2, 1);
  expect(declined).toEqual([0]);
  expect(buffers.inUseBytes()).toBe(0);
});
