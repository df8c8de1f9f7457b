import { usualAnswer } from './answers.ts';
import { addPiece, type Bitmap, emptyBitmap } from './bitmap.ts';
import {
  HEAD_LATE_FACTOR,
  HOME_ANSWER_MS,
  HOME_RETRY_MS,
  LACK_FACTOR,
  LACK_MS,
  LACK_MS_MAX,
  LINKS_WANTED,
  LINKS_WHEN_LACKING,
  REPORT_MS_MIN,
  REPORT_SEALED_MS,
  SEALED_LATELY_MS,
} from './limits.ts';
import { countSources, openLinks } from './links.ts';
import { decide, isComplete, type Member } from './member-state.ts';
import { fetchAlone, isLacking } from './origin-run.ts';
import { liarsLately } from './standing.ts';
import { countSlots } from './upload.ts';
import type { HomeAnswer, MemberId } from './words.ts';

/** The home this member turns to at present. Undefined when none of them answered. */
export function homeOf(member: Member): MemberId | undefined {
  return member.homes[member.home.index];
}

/** Reports when it is time to, passes over a home that does not answer, and does without when none does. */
export function keepHome(member: Member): void {
  const { home, now, standing } = member;
  if (home.askedAt !== undefined && now >= home.askedAt + HOME_ANSWER_MS) nextHome(member);
  if (homeOf(member) === undefined) {
    if (now >= home.reportAt) home.index = 0;
    else fetchAlone(member);
  }
  if (home.askedAt !== undefined || homeOf(member) === undefined) return;
  const lacking = now - home.lackedAt >= home.lackMs ? findLack(member) : undefined;
  if (lacking) {
    home.lackedAt = now;
    home.lackMs = Math.min(LACK_FACTOR * home.lackMs, LACK_MS_MAX);
  }
  if (lacking || now >= home.reportAt || home.liesTold !== standing.lies) report(member, lacking);
}

/** Joins at the next home at once: what it needs to know is in the report. */
export function nextHome(member: Member): void {
  const { home, now } = member;
  home.index++;
  home.askedAt = undefined;
  home.liesTold = 0;
  if (homeOf(member) === undefined) home.reportAt = now + HOME_RETRY_MS;
  else report(member, undefined);
}

/** Members come and go, and the first home may only have been slow to answer. */
export function changeHomes(member: Member, homes: readonly MemberId[]): void {
  const { home } = member;
  const isThereAlready = homeOf(member) === homes[0];
  member.homes = homes;
  home.index = 0;
  if (isThereAlready) return;
  home.askedAt = undefined;
  home.hasMoved = true;
  home.liesTold = 0;
  report(member, undefined);
}

export function noteAnswer(member: Member, answer: HomeAnswer): void {
  const { home, now } = member;
  if (home.askedAt !== undefined) home.answerMs = usualAnswer(home.answerMs, now - home.askedAt);
  home.askedAt = undefined;
  member.usualUplink = answer.usualUplink;
  countSlots(member);
  // The home names the best first; candidates are taken from the end.
  member.candidates = [...answer.members].reverse();
  openLinks(member, home.isLacking ? LINKS_WHEN_LACKING : 0);
  // Who was named nobody new is linked to all there are: others that come open links themselves.
  const isHelped = wantsMembers(member) && member.linking.size > 0;
  const waitMs = isHelped ? LACK_MS : Math.max(REPORT_MS_MIN, answer.reportEveryMs);
  const isOfLongAgo = member.isSealed && now - member.gainedAt > SEALED_LATELY_MS;
  home.reportAt = now + (isOfLongAgo ? Math.max(REPORT_SEALED_MS, waitMs) : waitMs);
}

function report(member: Member, lacking: Bitmap | undefined): void {
  const { home, held, plan, origin, zone, uplink, standing, now } = member;
  const to = homeOf(member);
  if (to === undefined) return;
  const caught = home.liesTold === standing.lies ? [] : liarsLately(standing, now);
  home.liesTold = standing.lies;
  const leased = origin.queue.length > 0 ? emptyBitmap(plan.count) : undefined;
  if (leased) for (const piece of origin.queue) addPiece(leased, piece);
  home.askedAt = now;
  home.isLacking = lacking !== undefined;
  decide(member, {
    kind: 'report',
    home: to,
    report: {
      held: held.slice(),
      lacking,
      caught,
      leased,
      wantsMembers: wantsMembers(member),
      isFollowing: home.index > 0 || home.hasMoved,
      isComplete: isComplete(member),
      zone,
      uplinkBytesPerSecond: uplink.bytesPerSecond,
    },
  });
}

function wantsMembers(member: Member): boolean {
  return !isComplete(member) && countSources(member) + member.linking.size < LINKS_WANTED;
}

/** What no link has, when that is what holds us up: all of it when nothing comes, else what the reader waits for. */
function findLack(member: Member): Bitmap | undefined {
  const { now, gainedAt, head, headAt, plan, home } = member;
  const isStarved = member.transfers.length === 0 && now - gainedAt >= home.lackMs;
  const isHeadLate = now - headAt >= HEAD_LATE_FACTOR * home.lackMs;
  if (!isStarved && !isHeadLate) return undefined;
  const lacking = emptyBitmap(plan.count);
  let isAny = false;
  for (let piece = isStarved ? 0 : head; piece < (isStarved ? plan.count : head + 1); piece++) {
    if (!isLacking(member, piece)) continue;
    addPiece(lacking, piece);
    isAny = true;
  }
  return isAny ? lacking : undefined;
}

/** Something came in: the next lack is looked at with fresh patience. */
export function noteGain(member: Member): void {
  member.gainedAt = member.now;
  member.home.lackMs = LACK_MS;
}
