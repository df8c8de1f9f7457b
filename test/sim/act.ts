import {
  doubt,
  type Hello,
  helloOf,
  type MemberDecision,
  type MemberEvent,
  nextDue,
  stepMember,
} from '@drayage/exchange';
import { tellHome } from './act-home.ts';
import { openOrigin, stopOrigin } from './act-origin.ts';
import { checkComplete, checkKept, checkServed } from './checks.ts';
import type { Host } from './host.ts';
import { startUpload, stopFlowsBetween } from './uploads.ts';
import { hostOf, isTrue, later, stopUpload, uploadKey, type World } from './world.ts';

/** Proving the digest of what was hashed as it came. */
const PROOF_MS = 1;

/** Lets a host take in an event, and carries out what it decides. */
export function step(world: World, host: Host, event: MemberEvent): void {
  if (!host.isAlive) return;
  world.tally.events++;
  for (const decision of stepMember(host.member, world.now, event)) act(world, host, decision);
  planTick(world, host);
}

function planTick(world: World, host: Host): void {
  const due = Math.max(world.now, nextDue(host.member));
  if (due >= host.tickAt) return;
  host.tickAt = due;
  world.timeline.put(due, () => tick(world, host, due));
}

function tick(world: World, host: Host, due: number): void {
  if (host.tickAt !== due || !host.isAlive) return;
  host.tickAt = Number.POSITIVE_INFINITY;
  hear(world, host);
  step(world, host, { kind: 'tick' });
}

/** Tells the host of the bytes that came since the last time. */
function hear(world: World, host: Host): void {
  if (world.now < host.member.tickAt) return;
  for (const transfer of host.member.transfers) {
    const flow = world.hosts[transfer.link.member]?.uploads.get(uploadKey(world, host.id, transfer.piece));
    if (flow) step(world, host, { kind: 'heard', link: transfer.link.member, piece: transfer.piece });
  }
  if (host.origin?.flow) step(world, host, { kind: 'origin heard' });
}

function send(world: World, from: Host, to: number, event: MemberEvent): void {
  world.tally.messages++;
  const host = hostOf(world, to);
  later(world, world.halfRtt, () => {
    if (from.isAlive || event.kind === 'unlinked') step(world, host, event);
  });
}

function act(world: World, host: Host, decision: MemberDecision): void {
  const link = host.id;
  switch (decision.kind) {
    case 'link':
      connect(world, host, hostOf(world, decision.to));
      break;
    case 'unlink':
      stopFlowsBetween(world, host, hostOf(world, decision.link));
      send(world, host, decision.link, { kind: 'unlinked', link });
      break;
    case 'offer':
      send(world, host, decision.to, { kind: 'offered', link, insists: decision.insists });
      break;
    case 'decline':
      send(world, host, decision.to, { kind: 'declined', link, inFlight: decision.inFlight });
      break;
    case 'request':
      send(world, host, decision.from, { kind: 'asked', link, piece: decision.piece, inFlight: decision.inFlight });
      break;
    case 'refuse':
      send(world, host, decision.to, { kind: 'refused', link, piece: decision.piece, why: decision.why });
      break;
    case 'cancel':
      cancel(world, host, hostOf(world, decision.from), decision.piece);
      break;
    case 'serve':
      checkServed(world, host, decision.piece);
      startUpload(world, host, decision);
      break;
    case 'have':
      tellNews(world, host, decision);
      break;
    case 'lost':
      for (const to of decision.to) send(world, host, to, { kind: 'lost', link, pieces: decision.pieces });
      break;
    default:
      actAlone(world, host, decision);
  }
}

type LinkDecision =
  | 'link'
  | 'unlink'
  | 'offer'
  | 'decline'
  | 'request'
  | 'refuse'
  | 'cancel'
  | 'serve'
  | 'have'
  | 'lost';

function actAlone(world: World, host: Host, decision: Exclude<MemberDecision, { kind: LinkDecision }>): void {
  switch (decision.kind) {
    case 'keep':
      keep(world, host, decision.piece);
      break;
    case 'drop':
      for (const piece of decision.pieces) host.wrong.delete(piece);
      break;
    case 'seal':
      later(world, PROOF_MS, () => prove(world, host));
      break;
    case 'fail':
      if (!host.hasFailed && host.vice === undefined) world.unfinished--;
      host.hasFailed = true;
      break;
    case 'quarantine':
      world.tally.quarantines++;
      if (decision.why === 'lie') tellDoubt(world, host, decision.member);
      break;
    case 'fetch':
      openOrigin(world, host, decision.run);
      break;
    case 'stop fetch':
      stopOrigin(world, host);
      break;
    default:
      tellHome(world, host, decision);
  }
}

/** Who is linked to a host hears whom it caught. */
function tellDoubt(world: World, host: Host, liar: number): void {
  for (const other of host.member.links.keys())
    later(world, world.halfRtt, () => doubt(hostOf(world, other).member.standing, liar, host.id, world.now));
}

function keep(world: World, host: Host, piece: number): void {
  const hash = host.member.hashes[piece];
  if (hash !== undefined && !isTrue(piece, hash)) host.wrong.set(piece, hash);
  checkKept(world, host, piece);
  step(world, host, { kind: 'kept', piece });
}

function prove(world: World, host: Host): void {
  if (!host.isAlive) return;
  if (host.wrong.size > 0) {
    step(world, host, { kind: 'disproven' });
    return;
  }
  checkComplete(world, host);
  host.finishedAt = world.now;
  if (host.vice === undefined && !host.hasFailed) world.unfinished--;
  step(world, host, { kind: 'proven' });
}

/** Two round trips, then both ends know each other. */
function connect(world: World, host: Host, other: Host): void {
  later(world, 4 * world.halfRtt, () => {
    if (!host.isAlive) return;
    if (!other.isAlive || !other.hasStarted) {
      step(world, host, { kind: 'unlinked', link: other.id });
      return;
    }
    const own = hello(host);
    const theirs = hello(other);
    step(world, other, { kind: 'linked', link: host.id, hello: own });
    step(world, host, { kind: 'linked', link: other.id, hello: theirs });
  });
}

function hello({ member, vice }: Host): Hello {
  const own = helloOf(member);
  return vice === 'claims' ? { ...own, held: own.held.fill(0xffffffff) } : own;
}

function cancel(world: World, host: Host, from: Host, piece: number): void {
  const key = uploadKey(world, host.id, piece);
  const flow = from.uploads.get(key);
  if (flow) stopUpload(world, from, key, flow);
  send(world, host, from.id, { kind: 'sent', link: host.id, piece, isWhole: false });
}

/** One delay for all who are told. */
function tellNews(world: World, host: Host, { to, pieces, inFlight }: Extract<MemberDecision, { kind: 'have' }>): void {
  world.tally.messages += to.length;
  const event: MemberEvent = { kind: 'have', link: host.id, pieces, inFlight };
  later(world, 1000 * world.scenario.haveDelay, () => {
    if (host.isAlive) for (const other of to) step(world, hostOf(world, other), event);
  });
}
