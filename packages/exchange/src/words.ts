import type { Bitmap } from './bitmap.ts';

/** A handle that the host gives to each member it has met. Means nothing to others. */
export type MemberId = number;

/** Pieces from `start` up to, not including, `end`. */
export interface Run {
  readonly start: number;
  readonly end: number;
}

/** A member's word for what a piece is, from one who took it from the origin or from a sealed blob. Travels with the piece. */
export interface Attestation {
  readonly hash: string;
  readonly author: MemberId;
}

/** What a member is to its link when it opens. */
export interface Hello {
  readonly held: Bitmap;
  readonly zone: string | undefined;
}

/** What happens to a member of one blob's swarm. */
export type MemberEvent =
  /** With how late it comes, which tells how busy this host is. */
  | { readonly kind: 'tick'; readonly lateMs?: number }
  /** The reader wants this piece next. */
  | { readonly kind: 'reading'; readonly piece: number }
  | { readonly kind: 'linked'; readonly link: MemberId; readonly hello: Hello }
  /** Closed, refused or not to be reached. */
  | { readonly kind: 'unlinked'; readonly link: MemberId }
  | { readonly kind: 'have'; readonly link: MemberId; readonly pieces: readonly number[]; readonly inFlight: number }
  /** The link no longer has these. */
  | { readonly kind: 'lost'; readonly link: MemberId; readonly pieces: readonly number[] }
  /** The link has a slot free for us; it insists when its uplink would idle otherwise. */
  | { readonly kind: 'offered'; readonly link: MemberId; readonly insists: boolean }
  /** The link has no use for our offer. */
  | { readonly kind: 'declined'; readonly link: MemberId; readonly inFlight: number }
  | { readonly kind: 'asked'; readonly link: MemberId; readonly piece: number; readonly inFlight: number }
  /** An upload ended: the whole piece is out, or the link no longer wants it, or takes nothing. */
  | { readonly kind: 'sent'; readonly link: MemberId; readonly piece: number; readonly isWhole: boolean }
  /** Bytes of a piece came, not yet all. */
  | { readonly kind: 'heard'; readonly link: MemberId; readonly piece: number }
  | {
      readonly kind: 'arrived';
      readonly link: MemberId;
      readonly piece: number;
      /** Of the bytes that came. */
      readonly hash: string;
      /** What the link says of the piece. Its author has been authenticated. */
      readonly attestation: Attestation | undefined;
    }
  | { readonly kind: 'refused'; readonly link: MemberId; readonly piece: number; readonly why: 'busy' | 'gone' }
  /** A piece that was to be kept is in the draft, and can be served. */
  | { readonly kind: 'kept'; readonly piece: number }
  | { readonly kind: 'answered'; readonly home: MemberId; readonly answer: HomeAnswer }
  | { readonly kind: 'leased'; readonly home: MemberId; readonly run: Run }
  | { readonly kind: 'questioned'; readonly home: MemberId }
  | { readonly kind: 'withdrawn'; readonly home: MemberId }
  /** The home is known to be gone, without waiting for an answer. */
  | { readonly kind: 'home lost'; readonly home: MemberId }
  /** These are the homes now, and the first of them answers: whoever is at another goes there, or there would be two. */
  | { readonly kind: 'homes'; readonly homes: readonly MemberId[] }
  | { readonly kind: 'origin heard' }
  | { readonly kind: 'origin arrived'; readonly piece: number; readonly hash: string }
  | { readonly kind: 'origin failed' }
  /** The origin does not let this member have the blob. */
  | { readonly kind: 'origin refused' }
  | { readonly kind: 'proven' }
  /** Every piece is here, and together they are not the digest's. */
  | { readonly kind: 'disproven' };

/** What a member is to do. */
export type MemberDecision =
  | { readonly kind: 'link'; readonly to: MemberId }
  | { readonly kind: 'unlink'; readonly link: MemberId; readonly why: 'full' | 'done' | 'quarantine' }
  | { readonly kind: 'offer'; readonly to: MemberId; readonly insists: boolean }
  | { readonly kind: 'decline'; readonly to: MemberId; readonly inFlight: number }
  | { readonly kind: 'request'; readonly from: MemberId; readonly piece: number; readonly inFlight: number }
  | { readonly kind: 'cancel'; readonly from: MemberId; readonly piece: number }
  | { readonly kind: 'serve'; readonly to: MemberId; readonly piece: number; readonly attestation: Attestation }
  | { readonly kind: 'refuse'; readonly to: MemberId; readonly piece: number; readonly why: 'busy' | 'gone' }
  | {
      readonly kind: 'have';
      readonly to: readonly MemberId[];
      readonly pieces: readonly number[];
      readonly inFlight: number;
    }
  /** Take back what was told. */
  | { readonly kind: 'lost'; readonly to: readonly MemberId[]; readonly pieces: readonly number[] }
  /** Write the piece into the draft. */
  | { readonly kind: 'keep'; readonly piece: number }
  /** Forget pieces that proved wrong. */
  | { readonly kind: 'drop'; readonly pieces: readonly number[] }
  /** Prove the whole digest. */
  | { readonly kind: 'seal' }
  /** The origin's own bytes are not the digest's, or nobody will give us the rest. */
  | { readonly kind: 'fail'; readonly why: 'corrupt' | 'unavailable' }
  | { readonly kind: 'quarantine'; readonly member: MemberId; readonly ms: number; readonly why: 'lie' | 'misses' }
  /** Fetch these pieces from the origin over one connection. */
  | { readonly kind: 'fetch'; readonly run: Run }
  | { readonly kind: 'stop fetch' }
  | { readonly kind: 'report'; readonly home: MemberId; readonly report: MemberReport }
  | { readonly kind: 'landed'; readonly home: MemberId; readonly piece: number }
  | { readonly kind: 'answer'; readonly home: MemberId; readonly hasProgress: boolean }
  | { readonly kind: 'give back'; readonly home: MemberId; readonly isRefused: boolean };

/** What a member tells its home. Whoever reports for the first time joins by it. */
export interface MemberReport {
  readonly held: Bitmap;
  /** Pieces it looked for in vain. */
  readonly lacking: Bitmap | undefined;
  /** Members it lately caught in a lie, which the home has not heard yet. */
  readonly caught: readonly MemberId[];
  /** Pieces it holds a lease for and does not have yet. */
  readonly leased: Bitmap | undefined;
  readonly wantsMembers: boolean;
  /** It had another home before, which is gone. */
  readonly isFollowing: boolean;
  readonly isComplete: boolean;
  readonly zone: string | undefined;
  /** 0 while it is not known. */
  readonly uplinkBytesPerSecond: number;
}

/** What a home answers to a report. A lease may follow. */
export interface HomeAnswer {
  readonly members: readonly MemberId[];
  readonly reportEveryMs: number;
  /** The uplink of a usual member of this blob's swarm; 0 while it is not known. */
  readonly usualUplink: number;
}

/** What happens to the home of one blob. */
export type HomeEvent =
  | { readonly kind: 'tick'; readonly lateMs?: number }
  | { readonly kind: 'reported'; readonly member: MemberId; readonly report: MemberReport }
  | { readonly kind: 'landed'; readonly member: MemberId; readonly piece: number }
  /** It has heard of its lease. */
  | { readonly kind: 'told'; readonly member: MemberId }
  | { readonly kind: 'progress'; readonly member: MemberId; readonly hasProgress: boolean }
  | { readonly kind: 'returned'; readonly member: MemberId; readonly isRefused: boolean }
  | { readonly kind: 'left'; readonly member: MemberId };

/** What a home is to do. */
export type HomeDecision =
  | { readonly kind: 'answer'; readonly to: MemberId; readonly answer: HomeAnswer }
  | { readonly kind: 'lease'; readonly to: MemberId; readonly run: Run }
  | { readonly kind: 'question'; readonly to: MemberId }
  | { readonly kind: 'withdraw'; readonly from: MemberId };
