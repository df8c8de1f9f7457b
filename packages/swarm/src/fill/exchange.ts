import type { BlobStore, Digest, Report } from '@drayage/core';
import { doubt, newStanding, newUplink } from '@drayage/exchange';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import type { Contact } from '../contact.ts';
import type { Answerer, Control } from '../control.ts';
import type { Directory } from '../directory.ts';
import { askForHashes, hashesAnswerer } from './agreed.ts';
import { attestations } from './attestation.ts';
import { pieceBuffers } from './buffers.ts';
import { openDesk } from './desk.ts';
import { openHomeLine } from './home-line.ts';
import type { Marks } from './marks.ts';
import type { Mesh } from './mesh.ts';
import type { Shared } from './part-types.ts';
import { keepParts, type Parts } from './parts.ts';
import { openRoll, type Roll } from './roll.ts';
import { keepStories, type Stories } from './story.ts';

/** A home that was not announced to asks the others this long who has a blob, before it sends anyone to the origin. */
const HOLDERS_WAIT_MS = 500;

export interface ExchangeParts {
  readonly self: Contact;
  readonly identity: Ed25519PrivateKey;
  readonly zone: string | undefined;
  readonly uploadRate: number | undefined;
  readonly store: BlobStore;
  readonly mesh: Mesh;
  readonly marks: Marks;
  readonly directory: Directory;
  readonly control: () => Control;
  readonly report: Report;
}

/** Everything that this host does in the exchange of blobs, as a member and as a home. */
export interface Exchange extends AsyncDisposable {
  readonly parts: Parts;
  readonly stories: Stories;
  readonly roll: Roll;
  /** A member says that it caught another in a lie: a reason to look at what that one stands for. */
  heardCaught(member: string, caught: string): void;
  /** Memory that pieces on their way to the disk take up. */
  heldBytes(): number;
  /** What other members may ask. */
  readonly answerers: Readonly<Record<string, Answerer>>;
}

export function openExchange(given: ExchangeParts): Exchange {
  const { self, directory, store, mesh, marks, report, control } = given;
  const now = () => performance.now();
  const stop = new AbortController();
  const roll = openRoll(self);
  const stories = keepStories(Date.now, (member) => roll.contactOf(member)?.zone);

  const line = openHomeLine({
    ...{ roll, control, signal: stop.signal },
    self: () => self,
    desk: () => desk,
    partOf: (about) => parts.about(about),
  });
  const desk = openDesk({
    ...{ roll, report, now, random: Math.random },
    tell: line.tell,
    holdersOf: (digest) => holdersOf(given, digest),
    nearerTo: (digest, asker) => directory.nearer(digest, asker),
  });
  const buffers = pieceBuffers();
  const shared: Shared = {
    ...{ store, mesh, roll, line, report, now },
    buffers,
    attestations: attestations(given.identity),
    standing: newStanding(),
    zone: given.zone,
    uplink: newUplink(given.uploadRate),
    random: Math.random,
    askForHashes: (digest, plan, signal) =>
      askForHashes({ digest, plan, directory, isTrusted: marks.isTrusted, control }, signal),
    quarantined(member, ms, why) {
      marks.add(member, ms, why);
      report({ kind: 'quarantined', member, why, ms });
      if (why === 'misses') mesh.part(member);
      else mesh.tellCaught(member);
    },
  };
  const parts = keepParts({
    shared: () => shared,
    homesOf: (digest, more = []) => directory.homes(digest, more).map((home) => roll.idOf(home)),
    report,
  });

  return {
    ...{ parts, stories, roll },
    heardCaught(member, caught) {
      // A name alone makes nobody known.
      const liar = roll.knownAs(caught);
      if (liar !== undefined && liar !== roll.self) doubt(shared.standing, liar, roll.idOf(member), now());
    },
    heldBytes: buffers.inUseBytes,
    answerers: { ...line.answerers, ...desk.answerers, hashes: hashesAnswerer(store) },
    async [Symbol.asyncDispose]() {
      await parts[Symbol.asyncDispose]();
      stop.abort(new Error('the agent is stopping'));
      desk[Symbol.dispose]();
    },
  };
}

/** Who has the blob: we ourselves, and whom our own records name, or those of the other homes when ours may have come too late. */
async function holdersOf({ directory, store, self }: ExchangeParts, digest: Digest): Promise<readonly Contact[]> {
  const own = store.sizeOf(digest) === undefined ? [] : [self];
  const known = [...own, ...directory.known(digest)];
  if (known.length > 0) return known;
  return await directory.find(digest, AbortSignal.timeout(HOLDERS_WAIT_MS)).catch(() => []);
}
