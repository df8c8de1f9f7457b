import type { Digest, Rate } from '@drayage/core';
import type { LinkIdentity } from './identity.ts';
import type { Side } from './membership.ts';
import type { LinkReason } from './reason.ts';

/** What travels with each piece: its hash (32), its author's public key (32) and signature (64). A link does not look inside. */
export const ATTESTATION_BYTES = 128;

/** One connection to another member, for pieces of any blob, both ways. On a link that has ended, nothing happens any more. */
export interface Link extends AsyncDisposable {
  readonly member: string;
  readonly side: Side;
  isOpen(): boolean;
  /** Whether the connection has something that it has not yet taken. */
  isBusy(): boolean;
  rates(): LinkRates;
  /**
   * Gives a blob a channel of this side, which names it from now on. Undefined when all channels are in use. To refuse
   * a blob that the other side opened, open it and close it at once.
   */
  open(digest: Digest, terms: OpenTerms): number | undefined;
  /** Gives a channel of this side up, and with it what was wanted on it. */
  close(channel: number): void;
  /** Says which pieces this side has that it did not have before, perhaps none, and how many transfers it has in flight. */
  have(channel: number, pieces: readonly number[], inFlight: number): void;
  /** Says which pieces this side no longer has. */
  lost(channel: number, pieces: readonly number[]): void;
  /** Says that there is a slot for the other side, and whether it would idle otherwise. */
  offer(channel: number, insists: boolean): void;
  /** Says that this side has no use for what was offered, and how many transfers it has in flight. */
  decline(channel: number, inFlight: number): void;
  /** Asks for a piece. False when it cannot be asked for now: too many are, or this one still is. */
  want(want: Want): boolean;
  /** Wants a piece no more. Nothing more of it is handed on. */
  cancel(channel: number, piece: number): void;
  /**
   * Sends a piece that the other side wants. True when the connection has taken all of it, false when it is no longer
   * wanted. When reading it fails, the other side is told that it is gone, and this throws.
   */
  send(outgoing: Outgoing): Promise<boolean>;
  /** Says that a piece the other side wants is not to be had from here now. */
  busy(channel: number, piece: number): void;
  /** Says that a piece the other side wants is not here. */
  gone(channel: number, piece: number): void;
  /** Says that a member was caught in a lie. */
  caught(member: string): void;
  /** Asks the other side something, in a message that the link does not look into. */
  question(message: Buffer): void;
  answer(message: Buffer): void;
  end(reason: LinkReason): void;
}

/** What the other side says. Channels are its own but for the answers to a want. A handler that throws ends the link. */
export interface LinkHandlers {
  opened(channel: number, digest: Digest, terms: OpenTerms): void;
  closed(channel: number): void;
  /** The pieces can be gone through once, before this returns. */
  has(channel: number, pieces: Iterable<number>, inFlight: number): void;
  /** The pieces can be gone through once, before this returns. */
  lost(channel: number, pieces: Iterable<number>): void;
  offered(channel: number, insists: boolean): void;
  declined(channel: number, inFlight: number): void;
  /** To be answered by `send`, `busy` or `gone`. */
  wants(wanted: Wanted): void;
  /** A want needs no answer any more. */
  cancelled(channel: number, piece: number): void;
  /** Bytes of a wanted piece, in order. They are good until this returns or, with a promise, until that resolves. */
  arrived(part: PiecePart): Promise<void> | undefined;
  isBusy(channel: number, piece: number): void;
  isGone(channel: number, piece: number): void;
  /** It says that it caught this member in a lie. */
  caught(member: string): void;
  /** The message is good until this returns. */
  questioned(message: Buffer): void;
  /** The same. */
  answered(message: Buffer): void;
  /** The last call. What was wanted does not come. */
  ended(reason: LinkReason): void;
}

/** What a member says of itself when it opens a channel. */
export interface OpenTerms {
  readonly zone: string | undefined;
  /** Of the blob, as this side was told; two sides that cut it differently have nothing to exchange. */
  readonly size?: number;
  /** It answers a channel that the other side opened, which may be closed by now. */
  readonly isAnswer?: boolean;
}

export interface Want {
  readonly channel: number;
  readonly piece: number;
  /** Known from our own records, never from the other side. */
  readonly length: number;
  /** How many transfers this member has in flight. */
  readonly inFlight: number;
}

export type Wanted = Omit<Want, 'length'>;

export interface PiecePart {
  readonly channel: number;
  readonly piece: number;
  readonly offset: number;
  readonly bytes: Buffer;
  /** What the other side attests the whole piece to be, unchecked. */
  readonly attestation: Buffer;
  readonly isLast: boolean;
}

/** A piece on its way out. */
export interface Outgoing {
  readonly channel: number;
  readonly piece: number;
  readonly length: number;
  /** Exactly `ATTESTATION_BYTES`. */
  readonly attestation: Buffer;
  /** Copies bytes of the piece from `offset` on into `into`, and says how many: at least one. */
  read(into: Buffer, offset: number): Promise<number>;
}

export interface LinkRates {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly sentBytesPerSecond: number;
  readonly receivedBytesPerSecond: number;
  /** Undefined before it was measured. */
  readonly roundTripMs: number | undefined;
}

export interface LinkParts {
  readonly identity: LinkIdentity;
  /** The swarm keys in use, the newest first: two while they are rotated. */
  readonly swarmKeys: readonly Buffer[];
  readonly handlersFor: (link: Link) => LinkHandlers;
  readonly report: (event: LinkEvent) => void;
  readonly upload: Rate | undefined;
  readonly download: Rate | undefined;
  readonly limits: LinkLimits;
}

export interface LinkLimits {
  readonly handshakeMs: number;
  /** How often a link looks after itself. */
  readonly lookEveryMs: number;
  readonly pingAfterMs: number;
  readonly silentMs: number;
  /** How long the other side may take nothing of what is sent. */
  readonly stuckMs: number;
  readonly idleMs: number;
  /** Bytes of frames that carry no piece, which the other side may send at once, and then per second. */
  readonly talkBytesMax: number;
  readonly talkBytesPerSecond: number;
}

const KIB = 1024;

/**
 * Talk is some 100 KiB/s where pieces fill 10 Gbit/s, and may have piled up for as long as a link lives that is not
 * read. At this bound, hearing it costs 4 % of a processor.
 */
export const LINK_LIMITS: LinkLimits = {
  handshakeMs: 3000,
  lookEveryMs: 1000,
  pingAfterMs: 4000,
  silentMs: 9000,
  stuckMs: 30_000,
  idleMs: 120_000,
  talkBytesMax: 2048 * KIB,
  talkBytesPerSecond: 512 * KIB,
};

export type LinkEvent =
  | {
      readonly kind: 'link_refused';
      readonly address: string;
      readonly reason: LinkReason;
      readonly problem: string;
    }
  | { readonly kind: 'link_opened'; readonly member: string; readonly side: Side }
  | {
      readonly kind: 'link_ended';
      readonly member: string;
      readonly side: Side;
      readonly reason: LinkReason;
      readonly problem: string;
      readonly seconds: number;
    };
