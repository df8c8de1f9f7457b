import type { Digest, Fill, Members } from '@drayage/core';

/** The other hosts, as the rest of the agent sees them. */
export interface Swarm extends Members, AsyncDisposable {
  /** This host's own name among the members. */
  readonly member: string;
  /** Where members reach this one, as `host:port`. */
  readonly addresses: { readonly swarm: readonly string[]; readonly links: readonly string[] };
  /** Fills a draft from other members and, for what none of them has, from the origin. */
  readonly fill: Fill;
  /** The blob is sealed here: others may come for it. */
  announce(digest: Digest): void;
  withdraw(digest: Digest): void;
  /** The members that keep track of a blob, as far as this one knows the swarm; the nearest first, itself perhaps among them. */
  homes(digest: Digest): readonly string[];
  /** The members that this one is in touch with, or has quarantined. */
  members(): readonly MemberStatus[];
  /** How the recent fills of a blob went, the latest first. */
  explain(digest: Digest): readonly FillStory[];
}

export interface MemberStatus {
  readonly member: string;
  readonly zone: string | undefined;
  /** Where it accepts links, as `host:port`. */
  readonly addresses: readonly string[];
  readonly isLinked: boolean;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly sentBytesPerSecond: number;
  readonly receivedBytesPerSecond: number;
  readonly roundTripMs: number | undefined;
  /** Until when it is left alone, in ms since 1970, and why. */
  readonly quarantine: { readonly until: number; readonly why: 'lie' | 'misses' } | undefined;
}

/** One fill, told so that a person understands where each byte came from. */
export interface FillStory {
  readonly digest: Digest;
  readonly size: number;
  readonly origin: string;
  readonly state: 'filling' | 'sealed' | 'stopped' | 'failed';
  readonly startedAt: number;
  readonly endedAt: number | undefined;
  readonly problem: string | undefined;
  /** The member that decided who may use the origin; undefined when nobody did. */
  readonly home: string | undefined;
  /** Bytes that an earlier fill had left here. */
  readonly diskBytes: number;
  readonly fromOrigin: { readonly bytes: number; readonly requests: number; readonly failures: number };
  readonly fromMembers: readonly MemberShare[];
  /** What else happened, in order and in words. */
  readonly notes: readonly { readonly at: number; readonly text: string }[];
}

/** What one member did for a fill. */
export interface MemberShare {
  readonly member: string;
  readonly zone: string | undefined;
  readonly bytes: number;
  readonly pieces: number;
  /** Requests it refused, being busy or not having the piece after all. */
  readonly refusals: { readonly busy: number; readonly gone: number };
  /** Requests of ours that were called off: late, or no longer needed. */
  readonly calledOff: number;
  /** Pieces that were not what was attested. */
  readonly rejected: number;
}
