import type { BlobStore, Digest, Draft, PiecePlan, Remote, Report } from '@drayage/core';
import type { Member, MemberEvent, MemberId, Run, Standing, Uplink } from '@drayage/exchange';
import type { Attestations } from './attestation.ts';
import type { Buffers } from './buffers.ts';
import type { HomeLine } from './home-line.ts';
import type { Listener, Mesh } from './mesh.ts';
import type { Roll } from './roll.ts';
import type { Telling } from './story.ts';

/** What all blobs of a host share. */
export interface Shared {
  readonly store: BlobStore;
  readonly mesh: Mesh;
  readonly roll: Roll;
  readonly buffers: Buffers;
  readonly attestations: Attestations;
  readonly standing: Standing;
  readonly line: HomeLine;
  readonly zone: string | undefined;
  readonly uplink: Uplink;
  readonly random: () => number;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly report: Report;
  /** The piece hashes that the blob's holders agree on; undefined when fewer than two say so, or one differs. */
  readonly askForHashes: (
    digest: Digest,
    plan: PiecePlan,
    signal: AbortSignal,
  ) => Promise<readonly string[] | undefined>;
  readonly quarantined: (member: string, ms: number, why: 'lie' | 'misses') => void;
}

/** A blob that is being filled. */
export interface Filling {
  readonly draft: Draft;
  readonly remote: Remote;
  readonly story: Telling;
  readonly arrived: (from: 'peer' | 'origin', bytes: number) => void;
}

export interface PartParts {
  readonly shared: Shared;
  readonly digest: Digest;
  readonly plan: PiecePlan;
  /** The homes as they are seen now, and with `more` members that were heard of; the first choice first. */
  readonly homes: (more?: readonly string[]) => readonly MemberId[];
  readonly filling: Filling | undefined;
  /** The piece hashes of a blob that is sealed here. */
  readonly sealed: readonly string[] | undefined;
  /** Called when the part is over, and can be forgotten. */
  readonly over: () => void;
}

/** What this host does in the exchange of one blob: it fills its draft, serves others, and goes on serving for a while. */
export interface Part extends Listener {
  /** Resolves when the blob is proven; rejects when it cannot be had. */
  readonly proven: Promise<void>;
  readonly size: number;
  /** Whether this member turns to that one at present, for this blob. */
  isHome(member: MemberId): boolean;
  leased(home: MemberId, run: Run): void;
  /** Whether bytes come from the origin. */
  questioned(home: MemberId): boolean;
  withdrawn(home: MemberId): void;
  /** Resolves when nothing of it touches the draft any more. */
  stop(reason: Error): Promise<void>;
}

/** What the files of one part share. */
export interface Inside extends PartParts {
  member(): Member;
  listener(): Listener;
  step(event: MemberEvent): void;
  /** Begins anew with what the draft has: the disk lost some of it. */
  restart(): void;
  end(outcome: 'proven' | Error): void;
  readonly signal: AbortSignal;
}
