import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BlobStore, type Catalog, describe, type Members, type Pulls, type Report } from '@drayage/core';
import type { GatedOrigins } from '../origin/types.ts';
import { openAccess } from './access.ts';
import { blobAnswers } from './blobs.ts';
import { bufferPool } from './buffers.ts';
import { challengesBy } from './client-challenge.ts';
import { keepHearsay } from './hearsay.ts';
import { ownNames } from './host.ts';
import { type Address, type Listener, openListener } from './listener.ts';
import { openShelf } from './manifest-shelf.ts';
import { manifestAnswers } from './manifests.ts';
import { listAnswers } from './passthrough.ts';
import type { Policies } from './policy.ts';
import { openPrefetch, type Prefetch } from './prefetch.ts';
import { openPushes, type Pushes } from './push.ts';
import { openRouter } from './router.ts';
import { openTags } from './tags.ts';
import { tokenRealm } from './token-realm.ts';
import { type Meant, serve, VISIT_LIMITS, type VisitLimits, type Visitor, type VisitParts } from './visit.ts';
import { makeSecrets } from './wrapped-token.ts';

/** The registry that container runtimes on this host pull from. */
export interface Endpoint extends AsyncDisposable {
  /** Where it listens; ports are the real ones. */
  readonly addresses: readonly Address[];
  /** Answers a request that came by another way and is meant for an origin itself, or lets that answer. Never rejects. */
  answerFor(visitor: Visitor & { readonly meant: Meant }): Promise<void>;
  /** Takes no further connections, lets answers end, and cuts off what is left when the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
}

export interface EndpointParts {
  readonly listen: readonly Address[];
  readonly origins: GatedOrigins;
  readonly pulls: Pulls;
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly policies: Policies;
  /** The origin of requests that name none. */
  readonly defaultOrigin: string;
  /** Other hosts to ask for manifests; undefined for a host that is alone. */
  readonly members?: Members | undefined;
  /** Names, with or without a port, that clients may use for this agent besides its addresses. */
  readonly hosts: readonly string[];
  readonly report: Report;
  readonly now?: () => number;
  readonly limits?: Partial<VisitLimits>;
}

/** Opens the endpoint on every address, or on none: the first address that cannot be opened is thrown. */
export async function startEndpoint(parts: EndpointParts): Promise<Endpoint> {
  const prefetch = openPrefetch(parts);
  const { visitParts, pushes } = wire(parts, prefetch);
  const active = new Set<Promise<void>>();
  let isDraining = false;
  const visited = async (visitor: Visitor) => {
    const visit = serve(visitParts, visitor);
    active.add(visit);
    await visit;
    active.delete(visit);
    if (isDraining) visitor.incoming.socket.destroySoon();
  };
  const handle = (incoming: IncomingMessage, response: ServerResponse, path: string) =>
    visited({ incoming, response, path });

  await using opened = new AsyncDisposableStack();
  const listeners: Listener[] = [];
  const open = async (address: Address) => {
    const listener = await openListener(address, handle);
    listeners.push(opened.adopt(listener, ({ close }) => close()));
    return listener.address;
  };
  for (const address of parts.listen) {
    const { host, port } = await open(address);
    const twin = { host: '::1', port };
    // Clients that say localhost may try this one first; a host without IPv6 does without.
    if (host === '127.0.0.1' && !isListed(parts.listen, twin)) await open(twin).catch(tellUnless(parts.report));
  }
  opened.move();

  const drain = async (signal: AbortSignal) => {
    isDraining = true;
    const closing = listeners.map((listener) => listener.close());
    const cut = () => {
      for (const listener of listeners) listener.closeAll();
    };
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    await Promise.all([...closing, ...active, prefetch[Symbol.asyncDispose]()]);
    await pushes[Symbol.asyncDispose]();
    signal.removeEventListener('abort', cut);
  };
  return {
    addresses: listeners.map(({ address }) => address),
    answerFor: visited,
    drain,
    [Symbol.asyncDispose]: () => drain(AbortSignal.abort()),
  };
}

function wire(parts: EndpointParts, prefetch: Prefetch): { readonly visitParts: VisitParts; readonly pushes: Pushes } {
  const { origins, pulls, store, catalog, policies, members, report, now = Date.now } = parts;
  const hearsay = keepHearsay(members, now);
  const secrets = makeSecrets();
  const challenges = challengesBy({ origins, policies, defaultOrigin: parts.defaultOrigin });
  const access = openAccess({ origins, catalog, policies, challenges, hearsay, secrets, report, now });
  const tags = openTags({ catalog, policies, report, now });
  const shelf = openShelf({ store, catalog, members, hearsay, saw: prefetch.saw, report });
  const limits = { ...VISIT_LIMITS, ...parts.limits };
  const pushParts = { origins, store, catalog, policies, access, report, now };
  const pushes = openPushes({ ...pushParts, stallMs: limits.uploadStallMs });
  const router = openRouter({
    answerManifest: manifestAnswers({ origins, access, tags, shelf, catalog, hasMembers: members !== undefined }),
    answerBlob: blobAnswers({ origins, access, pulls, store, catalog, hearsay, prefetch }),
    answerList: listAnswers({ origins, access }),
    answerPush: pushes.answer,
    answerToken: tokenRealm({ origins, policies, secrets, now }),
    access,
    challenges,
    secrets,
    now,
    origins,
    defaultOrigin: parts.defaultOrigin,
    isOwn: ownNames(parts.hosts),
    report,
  });
  return { visitParts: { router, buffers: bufferPool(), limits, report }, pushes };
}

function isListed(listen: readonly Address[], { host, port }: Address): boolean {
  return listen.some((address) => address.host === host && address.port === port);
}

function tellUnless(report: Report): (error: NodeJS.ErrnoException) => void {
  return (error) => {
    if (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT') return;
    report({ kind: 'error', where: 'endpoint', problem: `not listening on ::1: ${describe(error)}` });
  };
}
