import type { Digest, Remote } from '@drayage/core';
import type { Forwarder } from './forward.ts';
import type { Gate } from './login.ts';

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
  /** The Authorization header of a client, meant for this very origin; `id` tells clients apart without holding a secret. */
  | { readonly kind: 'client'; readonly authorization: string; readonly id: string };

/** One string per caller, for what is shared among those who ask with the same credential. */
export function callerKey(caller: Caller): string {
  return caller.kind === 'client' ? `client ${caller.id}` : caller.kind;
}

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

/** One step of a push, as a client wants it done at the origin. */
export interface Push {
  readonly method: 'POST' | 'PATCH' | 'PUT' | 'GET' | 'DELETE';
  /** A path below the repository, with its query; or where the origin wants an upload to go on. */
  readonly to: string | URL;
  /** The path of another repository that is read for it. */
  readonly from?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** One in chunks throws a Failure when its source fails: that is not held against the origin. */
  readonly body?: Buffer | AsyncIterable<Uint8Array>;
}

/** What the origin said to it. Every part has been checked against its grammar. */
export interface Pushed {
  readonly status: number;
  /** Where the upload goes on: kept here, never shown to a client. */
  readonly next: URL | undefined;
  readonly range: string | undefined;
  readonly digest: Digest | undefined;
  readonly subject: Digest | undefined;
  readonly chunkBytesMin: string | undefined;
  readonly retryAfter: string | undefined;
  readonly errors: readonly PushError[];
}

export interface PushError {
  readonly code: string;
  readonly message: string;
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
  /** Does one step of a push, never twice. Any status but 401 and 403 is an answer. */
  push(push: Push, signal: AbortSignal): Promise<Pushed>;
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

/** The same, for whoever asks there on behalf of users. */
export interface GatedOrigins extends Origins {
  /** How the origin lets people in. Throws `name_unknown` when the origin is not on the list. */
  gate(origin: string): Gate;
}
