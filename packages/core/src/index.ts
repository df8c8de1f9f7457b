export type { BlobReader, BlobStore, Draft, HeldBlob, Intake, OpenBlob, Remote, Source, StoreStatus } from './blob.ts';
export type { BlobFacts, Catalog, KnownFacts } from './catalog.ts';
export {
  algorithmOf,
  type Digest,
  digestOf,
  hashLike,
  hexOf,
  matches,
  parseDigest,
  sha256,
  shortOf,
} from './digest.ts';
export { describe, FAILURE_CODES, Failure, type FailureCode, isFailure } from './failure.ts';
export { type Fill, type FillJob, type OriginFillParts, originFill } from './fill.ts';
export type { FillsParts, PullStatus } from './fills.ts';
export { type Members, PUBLIC_FRESH_MS, provenHere } from './members.ts';
export { BLOB_BYTES_MAX, BLOCK_BYTES, type PiecePlan, pieceAt, pieceSpan, planPieces, type Span } from './pieces.ts';
export { type Pulls, startPulls, type Want } from './pull.ts';
export { type Rate, rateOf } from './rate.ts';
export {
  isOriginName,
  isRepositoryPath,
  isTag,
  NAME_CHARS_MAX,
  parseReference,
  type Reference,
  type Repository,
  repositoryKey,
} from './reference.ts';
export type { FillState, Happening, Report } from './report.ts';
