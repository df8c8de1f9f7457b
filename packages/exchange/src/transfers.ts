import { addPiece } from './bitmap.ts';
import { decide, isHere, type Link, type Member, type Transfer } from './member-state.ts';

export function findTransfer(member: Member, link: Link, piece: number): Transfer | undefined {
  return member.transfers.find((transfer) => transfer.link === link && transfer.piece === piece);
}

/** Takes a transfer off the list; its piece is open again when no other brings it. */
export function endTransfer(member: Member, transfer: Transfer): void {
  const { transfers } = member;
  transfers.splice(transfers.indexOf(transfer), 1);
  member.uplink.coming--;
  const { piece } = transfer;
  const isComing = transfers.some((other) => other.piece === piece) || member.origin.queue.includes(piece);
  if (!isComing && !isHere(member, piece)) addPiece(member.open, piece);
}

/** A transfer is given up, the link being told. */
export function cancel(member: Member, transfer: Transfer): void {
  endTransfer(member, transfer);
  decide(member, { kind: 'cancel', from: transfer.link.member, piece: transfer.piece });
}
