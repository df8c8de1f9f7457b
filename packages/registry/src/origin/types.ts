import type { Digest, Remote } from '@drayage/core';
import type { Forwarder } from './forward.ts';

/** One origin registry, as the operator named it. */
export interface OriginSettings {
  /** What clients call it: `docker.io`, `registry.example.com:5000`. */
  readonly name: string;
  /** Where it answers: `https://registry-1.docker.io`. */
  readonly url: string;
  /** The agent's own credential there. */
  readonly credential: CredentialSettings | undefined;
  /** Other hosts that may be asked for tokens with the agent's credential. */
  readonly realms: readonly string[];
  /** A PEM file of authorities to trust besides the system's. */
  readonly caFile: string | undefined;
}

export type CredentialSettings =
  | { readonly kind: 'dockerConfig'; readonly file: string }
  | { readonly kind: 'helper'; readonly helper: string }
  | { readonly kind: 'password'; readonly username: string; readonly passwordFile: string };

/** Whose credential a question is asked with. */
export type Caller =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'agent' }
  /** The Authorization header of a client, meant for this very origin. */
  | { readonly kind: 'client'; readonly authorization: string };

/** What an origin says of a manifest without sending it. */
export interface ManifestHead {
  readonly digest: Digest | undefined;
  readonly mediaType: string | undefined;
  readonly size: number | undefined;
}

/** A manifest exactly as the origin sent it; its digest is computed from these bytes. */
export interface Manifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** An answer that is passed on rather than understood: tags and referrers. */
export interface PassedOn {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly link: string | undefined;
  readonly filtersApplied: string | undefined;
  readonly bytes: Buffer;
}

/**
 * A repository as one caller may see it. All questions throw `origin_unavailable` when the origin gives no usable answer
 * in time, `unauthorized` on 401 and `denied` on 403; undefined means a plain 404.
 */
export interface OriginRepository extends Remote {
  headManifest(reference: string, signal: AbortSignal): Promise<ManifestHead | undefined>;
  getManifest(reference: string, accept: string | undefined, signal: AbortSignal): Promise<Manifest | undefined>;
  listTags(query: string, signal: AbortSignal): Promise<PassedOn | undefined>;
  referrers(digest: Digest, query: string, signal: AbortSignal): Promise<PassedOn | undefined>;
}

export interface OriginStatus {
  readonly name: string;
  readonly url: string;
  readonly breaker: 'closed' | 'open' | 'half-open';
}

/** The allow-list of origins. */
export interface Origins extends AsyncDisposable {
  has(name: string): boolean;
  /** Throws `name_unknown` when the origin is not on the list. */
  repository(origin: string, path: string, caller: Caller): OriginRepository;
  status(): readonly OriginStatus[];
}

/** Ways to origins for requests that go on as they came. */
export interface Forwarders {
  /** Throws `name_unknown` when the origin is not on the list. */
  forwarder(origin: string): Forwarder;
}
