/** Why a link did not come to be, or ended. A closed list, so that each can be counted. */
export type LinkReason =
  | 'closed' // by this side
  | 'left' // the other side ended or reset the connection
  | 'idle' // nothing but signs of life for too long
  | 'silent' // no sign of life
  | 'stuck' // the other side takes nothing of what is sent
  | 'broken' // the connection failed
  | 'malformed' // a frame that has no meaning
  | 'unasked' // a piece nobody asked for, or not the part that was due
  | 'excess' // more at once than a member may ask for
  | 'refused' // the handler of a message threw
  | 'crowded' // too many handshakes at once
  | 'hasty' // too many from one address
  | 'slow' // the handshake took too long
  | 'certificate' // none, or one that proves no identity
  | 'identity' // another member than the one that was dialled
  | 'denied' // this member may not link
  | 'key'; // no proof of the swarm key

/** A link that failed, and why in one word that can be acted upon. */
export class LinkFailure extends Error {
  override readonly name = 'LinkFailure';
  readonly reason: LinkReason;

  constructor(reason: LinkReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** The failure itself, or one of this reason because of it. */
export function failureOf(error: unknown, reason: LinkReason, message: string): LinkFailure {
  return error instanceof LinkFailure ? error : new LinkFailure(reason, message, { cause: error });
}
