import { Failure, shortOf } from '@drayage/core';
import { leaveUplink, listPieces, type MemberDecision, type MemberId, type Run } from '@drayage/exchange';
import { trustConfirmed } from './confirmed.ts';
import { type Downloads, takeDownloads } from './downloads.ts';
import { corruptFrom, type Keeping, keepPieces } from './keeping.ts';
import { keepNeighbours, type Neighbour, type Neighbours } from './neighbours.ts';
import { fetchRun } from './origin-run.ts';
import type { Inside } from './part-types.ts';
import { type Patience, watchPatience } from './patience.ts';
import { giveUploads, type Uploads } from './uploads.ts';

/** Carries out what the exchange of one blob decides. */
export interface Carrier extends AsyncDisposable {
  readonly neighbours: Neighbours;
  readonly downloads: Downloads;
  out(decision: MemberDecision): void;
  /** What no event tells of: where the reader is, who takes nothing, whether there is still hope. */
  look(): void;
  /** Lets go of everybody and of the origin: what is here has to be looked at anew. */
  letGo(): void;
  /** Whether bytes come from the origin, as the exchange answers during `tell`. */
  asked(tell: () => void): boolean;
}

/** Members that homes named as nearer to the blob: a swarm that is known in part is found within a few hops. */
const HEARD_MAX = 8;

type Acts = { readonly [K in MemberDecision['kind']]: (decision: Extract<MemberDecision, { kind: K }>) => void };

/** The parts that acts work with. */
interface Tools {
  readonly neighbours: Neighbours;
  readonly downloads: Downloads;
  readonly uploads: Uploads;
  readonly keeping: Keeping | undefined;
  readonly patience: Patience | undefined;
  fetching: AbortController | undefined;
  hasProgress: boolean;
}

export function carrier(inside: Inside): Carrier {
  const { shared, digest, plan, filling, step, signal } = inside;
  const { roll, mesh, store, buffers, attestations, report, now } = shared;
  const fail = (error: unknown) => inside.end(asError(error));
  const kept = (piece: number) => {
    step({ kind: 'kept', piece });
    confirmed?.kept(piece);
  };
  const isWanted = () => isLackedByOthers(inside);
  const keeping = filling && keepPieces({ draft: filling.draft, buffers, isWanted, kept, failed: fail });
  const common = { digest, plan, buffers, attestations, report, now, step };
  const downloads = takeDownloads({
    ...{ ...common, roll },
    story: filling?.story,
    arrived: (bytes) => filling?.arrived('peer', bytes),
    hand: (whole, tell) => keeping?.hand(whole, tell) ?? false,
  });
  const neighbours = keepNeighbours({
    ...{ digest, mesh, roll, step, signal },
    self: roll.memberOf(roll.self) ?? '',
    terms: () => ({ zone: shared.zone }),
    listener: () => inside.listener(),
    greet({ link, own }) {
      const pieces = listPieces(inside.member().told);
      if (pieces.length > 0) link.have(own, pieces, 0);
    },
    gone: (id) => downloads.drop(id),
    pieceCount: plan.count,
    size: plan.size,
  });
  const uploads = giveUploads({ ...common, store, lost: fail }, filling?.draft);
  const patience = filling && watchPatience(inside, filling.remote);
  const confirmed = filling && trustConfirmed(inside, filling);
  const tools: Tools = {
    ...{ neighbours, downloads, uploads, keeping, patience },
    fetching: undefined,
    hasProgress: false,
  };
  const acts: Acts = { ...linkActs(tools), ...ownActs(inside, tools), ...homeActs(inside, tools) };

  return {
    neighbours,
    downloads,
    out: (decision) => actOf(acts, decision),
    look() {
      uploads.watch();
      const [waiting] = (filling?.draft.waiting() ?? []).map(({ piece }) => piece).sort((a, b) => a - b);
      if (waiting !== undefined && waiting !== inside.member().reader) step({ kind: 'reading', piece: waiting });
      if (waiting !== undefined) confirmed?.waitsFor(waiting);
      patience?.look();
    },
    letGo() {
      leaveUplink(inside.member(), now());
      tools.fetching?.abort();
      neighbours.closeAll();
    },
    asked(tell) {
      tools.hasProgress = false;
      tell();
      return tools.hasProgress;
    },
    async [Symbol.asyncDispose]() {
      leaveUplink(inside.member(), now());
      tools.fetching?.abort();
      neighbours.closeAll();
      downloads.dropAll();
      await keeping?.settled();
      await uploads[Symbol.asyncDispose]();
    },
  };
}

/** Whether anybody who is linked may ask for what is here. */
function isLackedByOthers({ member, plan }: Inside): boolean {
  return member()
    .links.values()
    .some(({ heldCount }) => heldCount < plan.count);
}

function actOf<K extends MemberDecision['kind']>(acts: Acts, decision: Extract<MemberDecision, { kind: K }>): void {
  (acts[decision.kind as K] as (decision: Extract<MemberDecision, { kind: K }>) => void)(decision);
}

type LinkKind = 'link' | 'unlink' | 'offer' | 'decline' | 'request' | 'cancel' | 'serve' | 'refuse' | 'have' | 'lost';

function linkActs({ neighbours, downloads, uploads }: Tools): Pick<Acts, LinkKind> {
  /** Who went meanwhile has been told of. */
  const withNeighbour = (id: MemberId, act: (neighbour: Neighbour) => void): void => {
    const neighbour = neighbours.of(id);
    if (neighbour?.theirs !== undefined && neighbour.link.isOpen()) act(neighbour);
  };
  return {
    link: ({ to }) => neighbours.connect(to),
    unlink: ({ link }) => neighbours.disconnect(link),
    offer: ({ to, insists }) => withNeighbour(to, ({ link, own }) => link.offer(own, insists)),
    decline: ({ to, inFlight }) => withNeighbour(to, ({ link, own }) => link.decline(own, inFlight)),
    request: ({ from, piece, inFlight }) =>
      withNeighbour(from, (neighbour) => downloads.request(neighbour, piece, inFlight)),
    cancel: ({ from, piece }) => withNeighbour(from, (neighbour) => downloads.cancel(neighbour, piece)),
    serve: (decision) => withNeighbour(decision.to, (neighbour) => uploads.serve(neighbour, decision)),
    refuse: ({ to, piece, why }) =>
      withNeighbour(to, ({ link, theirs }) => theirs !== undefined && link[why](theirs, piece)),
    have({ to, pieces, inFlight }) {
      for (const id of to) withNeighbour(id, ({ link, own }) => link.have(own, pieces, inFlight));
    },
    lost({ to, pieces }) {
      for (const id of to) withNeighbour(id, ({ link, own }) => link.lost(own, pieces));
    },
  };
}

type OwnKind = 'keep' | 'drop' | 'seal' | 'fail' | 'quarantine' | 'fetch' | 'stop fetch';

function ownActs(inside: Inside, tools: Tools): Pick<Acts, OwnKind> {
  const { shared, digest, filling, step, end, signal } = inside;
  const { keeping, uploads } = tools;
  const { roll, report } = shared;

  async function prove(): Promise<void> {
    const isProven = await keeping?.prove(signal);
    if (signal.aborted) return;
    if (isProven === undefined) return inside.restart();
    if (!isProven) return step({ kind: 'disproven' });
    await uploads.seal();
    step({ kind: 'proven' });
    end('proven');
  }

  async function fail(why: 'corrupt' | 'unavailable'): Promise<void> {
    if (!filling) return;
    const { draft, remote } = filling;
    if (why === 'unavailable')
      return end(tools.patience?.problem() ?? new Failure('blob_unavailable', `nobody gives ${shortOf(digest)}`));
    const failure = corruptFrom(remote.origin, draft);
    report({ kind: 'corrupt', where: 'origin', digest, detail: failure.message });
    keeping?.drop(Array.from({ length: draft.plan.count }, (_, piece) => piece));
    await keeping?.settled();
    end(failure);
  }

  return {
    keep({ piece }) {
      const whole = keeping?.keep(piece);
      if (whole?.attestation) uploads.vouch(piece, whole.attestation);
    },
    drop({ pieces }) {
      uploads.forget(pieces);
      keeping?.drop(pieces);
      filling?.story.note(`${pieces.length} pieces proved wrong`);
    },
    seal: () => void prove().catch((error: unknown) => signal.aborted || end(asError(error))),
    fail: ({ why }) => void fail(why).catch((error: unknown) => end(asError(error))),
    quarantine({ member: id, ms, why }) {
      const member = roll.memberOf(id);
      if (member === undefined) return;
      filling?.story.note(`member ${member} is left alone: ${why}`);
      shared.quarantined(member, ms, why);
    },
    fetch: ({ run }) => fetch(inside, tools, run),
    'stop fetch': () => tools.fetching?.abort(),
  };
}

function fetch(inside: Inside, tools: Tools, run: Run): void {
  const { filling, step, signal, shared, digest, plan } = inside;
  const { keeping, patience } = tools;
  if (!filling || !keeping) return;
  const stop = new AbortController();
  tools.fetching = stop;
  const either = AbortSignal.any([stop.signal, signal]);
  const parts = {
    ...{ digest, plan, step, remote: filling.remote, story: filling.story, now: shared.now, buffers: shared.buffers },
    hand: keeping.hand,
    room: keeping.room,
    arrived: (bytes: number) => filling.arrived('origin', bytes),
    failed(error: unknown) {
      shared.report({ kind: 'lease', outcome: 'failed' });
      filling.story.note(`the origin failed: ${error instanceof Error ? error.message : String(error)}`);
      patience?.failed(asError(error));
    },
  };
  fetchRun(parts, run, either).then(
    (isWhole) => isWhole && shared.report({ kind: 'lease', outcome: 'landed' }),
    (error: unknown) => inside.end(asError(error)),
  );
}

type HomeKind = 'report' | 'landed' | 'answer' | 'give back';

function homeActs(inside: Inside, tools: Tools): Pick<Acts, HomeKind> {
  const { shared, digest, plan, filling, step } = inside;
  const { line, roll } = shared;
  const heard = new Set<string>();
  let isLooking = false;
  const fail = (error: unknown) => inside.end(asError(error));

  /** A home may only have been busy, or have come lately: two homes at a time send members to the origin twice. */
  async function lookForFirst(home: MemberId): Promise<void> {
    const homes = inside.homes([...heard]);
    const [first] = homes;
    if (first === undefined || first === home || isLooking) return;
    isLooking = true;
    const isThere = await line.isThere(first);
    isLooking = false;
    if (!isThere) return;
    filling?.story.note(`turns to home ${roll.memberOf(first) ?? 'unknown'}`);
    step({ kind: 'homes', homes });
  }

  return {
    report({ home, report }) {
      filling?.story.home(roll.memberOf(home));
      lookForFirst(home).catch(fail);
      line.report(home, { digest, size: plan.size, report }).then(
        ({ nearer, ...answer }) => {
          step({ kind: 'answered', home, answer });
          for (const member of nearer) if (heard.size < HEARD_MAX) heard.add(member);
          if (nearer.length > 0) lookForFirst(home).catch(fail);
        },
        () => {
          filling?.story.note(`home ${roll.memberOf(home) ?? 'unknown'} does not answer`);
          step({ kind: 'home lost', home });
        },
      );
    },
    landed: ({ home, piece }) => line.landed(home, { digest, size: plan.size }, piece),
    answer({ hasProgress }) {
      tools.hasProgress = hasProgress;
    },
    'give back'({ home, isRefused }) {
      shared.report({ kind: 'lease', outcome: 'refused' });
      line.giveBack(home, { digest, size: plan.size }, isRefused);
    },
  };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
