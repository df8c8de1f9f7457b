export { addPiece, type Bitmap, emptyBitmap, fullBitmap, hasPiece, listPieces, removePiece } from './bitmap.ts';
export { type Home, type HomeParts, newHome, stepHome } from './home.ts';
export { stepMember } from './member.ts';
export { helloOf, isComplete, type Member, type MemberParts, newMember, nextDue } from './member-state.ts';
export { convict, doubt, isQuarantined, newStanding, noteMiss, type Standing } from './standing.ts';
export { newUplink, type Uplink } from './uplink.ts';
export { leaveUplink } from './upload.ts';
export type {
  Attestation,
  Hello,
  HomeAnswer,
  HomeDecision,
  HomeEvent,
  MemberDecision,
  MemberEvent,
  MemberId,
  MemberReport,
  Run,
} from './words.ts';
