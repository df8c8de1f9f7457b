import type { Source } from './blob.ts';
import type { Digest } from './digest.ts';

/** Something that operators may want counted or logged. Libraries report; only the agent logs and counts. */
export type Happening =
  | { readonly kind: 'fetched'; readonly from: 'peer' | 'origin'; readonly origin: string; readonly bytes: number }
  | { readonly kind: 'served'; readonly to: 'client' | 'peer'; readonly source: Source; readonly bytes: number }
  | {
      readonly kind: 'request';
      readonly what: 'manifest' | 'blob' | 'tag' | 'upload' | 'other';
      readonly method: string;
      readonly target: string;
      readonly code: number;
      readonly seconds: number;
      readonly firstByteSeconds: number | undefined;
      readonly source: Source | undefined;
      readonly bytes: number;
      /** Why the answer was cut short or refused, in words. */
      readonly problem: string | undefined;
    }
  | {
      readonly kind: 'fill';
      readonly state: FillState;
      readonly digest: Digest;
      readonly origin: string;
      readonly bytes: number;
      readonly seconds: number;
      readonly problem: string | undefined;
    }
  | {
      readonly kind: 'origin_request';
      readonly origin: string;
      readonly code: number | 'failed';
      readonly seconds: number;
    }
  | { readonly kind: 'breaker'; readonly origin: string; readonly state: 'closed' | 'open' | 'half-open' }
  | {
      readonly kind: 'access';
      readonly policy: 'public' | 'proof' | 'node' | 'bypass';
      readonly decision: 'allow' | 'stale' | 'challenge' | 'deny';
      readonly repository: string;
      readonly reason: string;
    }
  | { readonly kind: 'masked'; readonly origin: string; readonly target: string; readonly problem: string }
  | {
      readonly kind: 'corrupt';
      readonly where: 'disk' | 'origin' | 'peer';
      readonly digest: Digest;
      readonly detail: string;
    }
  /** A layer that was fetched before anybody asked for it. */
  | {
      readonly kind: 'prefetch';
      readonly outcome: 'kept' | 'stopped' | 'failed';
      readonly digest: Digest;
      readonly problem: string | undefined;
    }
  /** A client brought a blob to its origin; kept when it is on this disk as well. */
  | {
      readonly kind: 'pushed';
      readonly origin: string;
      readonly digest: Digest;
      readonly bytes: number;
      readonly isKept: boolean;
    }
  | { readonly kind: 'sealed'; readonly digest: Digest; readonly size: number }
  | { readonly kind: 'evicted'; readonly digest: Digest; readonly size: number }
  | { readonly kind: 'lease'; readonly outcome: 'granted' | 'landed' | 'withdrawn' | 'refused' | 'failed' }
  | {
      readonly kind: 'piece_rejected';
      readonly reason: 'hash' | 'attestation';
      readonly member: string;
      readonly digest: Digest;
    }
  | { readonly kind: 'quarantined'; readonly member: string; readonly why: 'lie' | 'misses'; readonly ms: number }
  | { readonly kind: 'announced'; readonly blobs: number }
  | { readonly kind: 'lookup'; readonly seconds: number; readonly holders: number }
  | {
      readonly kind: 'link';
      readonly state: 'opened' | 'ended' | 'refused';
      /** The member, or the address of one that did not prove itself. */
      readonly member: string;
      readonly reason: string | undefined;
    }
  /** What came to the forward proxy, and what became of it. */
  | {
      readonly kind: 'proxied';
      readonly outcome: 'intercepted' | 'tunnelled' | 'forwarded' | 'refused' | 'failed';
      /** `host:port` as it was understood; empty when it was not. */
      readonly target: string;
      /** Both ways together. */
      readonly bytes: number;
      readonly problem: string | undefined;
    }
  | { readonly kind: 'store_state'; readonly passThrough: string | undefined }
  | { readonly kind: 'error'; readonly where: string; readonly problem: string };

export type FillState = 'started' | 'sealed' | 'stopped' | 'failed';

export type Report = (happening: Happening) => void;
