import {
  stepHome as decide,
  type HomeDecision,
  type HomeEvent,
  type MemberDecision,
  type MemberEvent,
  type MemberId,
  type MemberReport,
  newHome,
  type Run,
} from '@drayage/exchange';
import { checkHome } from './checks.ts';
import type { Host } from './host.ts';
import { hostOf, later, type World } from './world.ts';

type HomeTalk = Extract<MemberDecision, { kind: 'report' | 'landed' | 'answer' | 'give back' }>;

/** Carries a member's word to its home. */
export function tellHome(world: World, host: Host, decision: HomeTalk): void {
  world.tally.messages++;
  const event = homeEvent(host, decision);
  if (!event) return;
  later(world, world.halfRtt, () => {
    if (host.isAlive) world.stepHome(hostOf(world, decision.home), event);
  });
}

function homeEvent(host: Host, decision: HomeTalk): HomeEvent | undefined {
  const member = host.id;
  switch (decision.kind) {
    case 'report':
      return { kind: 'reported', member, report: reportOf(host, decision.report) };
    case 'landed':
      return { kind: 'landed', member, piece: decision.piece };
    case 'answer':
      if (host.vice === 'mute') return undefined;
      return { kind: 'progress', member, hasProgress: decision.hasProgress || host.vice !== undefined };
    case 'give back':
      return { kind: 'returned', member, isRefused: decision.isRefused };
  }
}

function reportOf({ vice }: Host, report: MemberReport): MemberReport {
  return vice === 'claims' ? { ...report, held: report.held.slice().fill(0xffffffff) } : report;
}

/** Says that pieces are here that never were. */
export function claimLanded(world: World, host: Host, run: Run): void {
  const home = host.member.homes[host.member.home.index];
  if (home === undefined) return;
  for (let piece = run.start; piece < run.end; piece++) tellHome(world, host, { kind: 'landed', home, piece });
}

export function stepHome(world: World, at: Host, event: HomeEvent): void {
  if (!at.isAlive) return;
  world.tally.events++;
  at.home ??= newHome({ plan: world.plan, random: world.chance }, world.now);
  const { home } = at;
  for (const decision of decide(home, world.now, event)) actHome(world, at, decision);
  checkHome(world, home);
  if (at.homeTickAt <= home.tickAt) return;
  at.homeTickAt = home.tickAt;
  world.timeline.put(home.tickAt, () => {
    at.homeTickAt = Number.POSITIVE_INFINITY;
    world.stepHome(at, { kind: 'tick' });
  });
}

function actHome(world: World, at: Host, decision: HomeDecision): void {
  const home: MemberId = at.id;
  switch (decision.kind) {
    case 'answer':
      tell(world, at, decision.to, { kind: 'answered', home, answer: decision.answer });
      break;
    case 'lease':
      tell(world, at, decision.to, { kind: 'leased', home, run: decision.run });
      later(world, 2 * world.halfRtt, () => {
        const to = hostOf(world, decision.to);
        if (to.isAlive && to.vice !== 'mute') world.stepHome(at, { kind: 'told', member: decision.to });
      });
      break;
    case 'question':
      tell(world, at, decision.to, { kind: 'questioned', home });
      break;
    case 'withdraw':
      tell(world, at, decision.from, { kind: 'withdrawn', home });
      break;
  }
}

function tell(world: World, at: Host, to: MemberId, event: MemberEvent): void {
  world.tally.messages++;
  later(world, world.halfRtt, () => {
    if (at.isAlive) world.step(hostOf(world, to), event);
  });
}
