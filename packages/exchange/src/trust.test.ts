import { expect, test } from 'vitest';
import { listPieces } from './bitmap.ts';
import { arrival, bitmapOf, fakeMember, happen, helloWith, only } from './fake-member.ts';
import { LIE_QUARANTINE_MS, LOOK_MS } from './limits.ts';
import type { Member } from './member-state.ts';
import { convict, doubt, newStanding, noteMiss, type Standing } from './standing.ts';
import type { MemberDecision, MemberId } from './words.ts';

const COUNT = 4;
const ALL = [0, 1, 2, 3];
const ANSWER = { members: [], reportEveryMs: 30_000, usualUplink: 0 };

/** A member that has asked link 1 for a piece. */
function asking(): { readonly member: Member; readonly piece: number } {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, ALL) });
  const [request] = only(happen(member, 1, { kind: 'offered', link: 1, insists: false }), 'request');
  return { member, piece: request?.piece ?? -1 };
}

interface Betrayal {
  /** Whom another caught before the digest is asked. */
  readonly caught?: MemberId;
  readonly standing?: Standing;
}

/** A member whose four pieces are all here, each on the word of one of these authors, and are not the blob. */
function betrayed(
  authors: readonly MemberId[],
  { caught, standing = newStanding() }: Betrayal = {},
): { readonly member: Member; readonly decisions: MemberDecision[] } {
  const member = fakeMember(COUNT, { standing });
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, ALL) });
  for (const _ of ALL) {
    const [request] = only(happen(member, 1, { kind: 'offered', link: 1, insists: false }), 'request');
    const piece = request?.piece ?? -1;
    happen(member, 1, arrival(1, piece, authors[piece]), { kind: 'kept', piece });
  }
  if (caught !== undefined) doubt(standing, caught, 1, 1);
  return { member, decisions: happen(member, 2, { kind: 'disproven' }) };
}

/** The pieces that it fetches at each of these times, every one of them being what the author said. */
function looksAt(member: Member, ...times: readonly number[]): number[] {
  const looked: number[] = [];
  for (const now of times) {
    for (const { run } of only(happen(member, now, { kind: 'tick' }), 'fetch')) {
      looked.push(run.start);
      happen(member, now, { kind: 'origin arrived', piece: run.start, hash: `${run.start}` });
    }
  }
  return looked;
}

/** A member that has all pieces but the last, on the word of this author. */
function betrayedButOne(author: MemberId): { readonly member: Member } {
  const member = fakeMember(COUNT);
  happen(member, 0, { kind: 'linked', link: 1, hello: helloWith(COUNT, [0, 1, 2]) });
  for (let at = 0; at < COUNT - 1; at++) {
    const [request] = only(happen(member, 1, { kind: 'offered', link: 1, insists: false }), 'request');
    const piece = request?.piece ?? -1;
    happen(member, 1, arrival(1, piece, author), { kind: 'kept', piece });
  }
  return { member };
}

test('a piece that is what its attestation says is kept', () => {
  const { member, piece } = asking();
  expect(happen(member, 2, arrival(1, piece))).toEqual([{ kind: 'keep', piece }]);
});

test('a piece that a slow member stands for is kept when another brings it', () => {
  const { member, piece } = asking();
  for (const now of [0, 1000, 2000]) noteMiss(member.standing, 7, now);
  expect(happen(member, 2001, arrival(1, piece, 7))).toEqual([{ kind: 'keep', piece }]);
});

test('a piece unlike the attestation that came with it convicts the sender', () => {
  const { member, piece } = asking();
  const decisions = happen(member, 2, {
    kind: 'arrived',
    link: 1,
    piece,
    hash: 'flipped',
    attestation: { hash: `${piece}`, author: 7 },
  });
  expect(decisions).toEqual([
    { kind: 'quarantine', member: 1, ms: LIE_QUARANTINE_MS, why: 'lie' },
    { kind: 'unlink', link: 1, why: 'done' },
  ]);
  expect(member.hashes[piece]).toBeUndefined();
});

test('a piece nobody stands for is not kept, and its sender not blamed', () => {
  const { member, piece } = asking();
  const event = { kind: 'arrived', link: 1, piece, hash: `${piece}`, attestation: undefined } as const;
  expect(happen(member, 2, event)).toEqual([]);
  expect(member.links.has(1)).toBe(true);
});

test('when the digest fails, what came on the word of others is fetched again, one piece at a time', () => {
  const { decisions } = betrayed([7, 7, 8, 8]);
  expect(decisions).toEqual([{ kind: 'fetch', run: { start: 0, end: 1 } }]);
});

test('an author who was right once is suspected after those not looked at', () => {
  const { member } = betrayed([7, 7, 8, 8]);
  expect(happen(member, 3, { kind: 'origin arrived', piece: 0, hash: '0' })).toEqual([
    { kind: 'fetch', run: { start: 2, end: 3 } },
  ]);
});

test('who was right the last time is suspected after those not looked at, when the digest fails again', () => {
  const { member } = betrayed([7, 8, 7, 9]);
  happen(member, 3, { kind: 'origin arrived', piece: 0, hash: '0' });
  happen(member, 4, { kind: 'origin arrived', piece: 1, hash: 'the truth' }, { kind: 'kept', piece: 1 });
  expect(happen(member, 5, { kind: 'disproven' })).toEqual([{ kind: 'fetch', run: { start: 3, end: 4 } }]);
});

test('an attestation unlike the truth convicts its author, and drops all else that author stands for', () => {
  const { member } = betrayed([7, 8, 8, 8]);
  happen(member, 3, { kind: 'origin arrived', piece: 0, hash: '0' });
  const decisions = happen(member, 4, { kind: 'origin arrived', piece: 1, hash: 'the truth' });
  expect(only(decisions, 'drop')).toEqual([{ kind: 'drop', pieces: [1, 2, 3] }]);
  expect(only(decisions, 'keep')).toEqual([{ kind: 'keep', piece: 1 }]);
  expect(member.standing.quarantinedUntil.has(8)).toBe(true);
  expect(member.links.has(1)).toBe(true);
});

test('a convicted author is not believed any more, whoever passes its word on', () => {
  const { member } = betrayed([8, 8, 8, 8]);
  happen(member, 3, { kind: 'origin arrived', piece: 0, hash: 'the truth' }, { kind: 'kept', piece: 0 });
  const [request] = only(happen(member, 4, { kind: 'offered', link: 1, insists: false }), 'request');
  expect(only(happen(member, 5, arrival(1, request?.piece ?? -1, 8)), 'keep')).toEqual([]);
});

test('when every piece is what the origin sends, the origin is wrong', () => {
  const { member } = betrayed([7, 7, 7, 7]);
  const decisions = ALL.flatMap((piece) =>
    happen(member, 3 + piece, { kind: 'origin arrived', piece, hash: `${piece}` }),
  );
  expect(only(decisions, 'fail')).toEqual([{ kind: 'fail', why: 'corrupt' }]);
});

test('a piece of an earlier life is replaced, and the digest asked again', () => {
  const member = fakeMember(1, { held: new Uint32Array([1]) });
  expect(only(happen(member, 0, { kind: 'disproven' }), 'fetch')).toHaveLength(1);
  const decisions = happen(member, 1, { kind: 'origin arrived', piece: 0, hash: '0' }, { kind: 'kept', piece: 0 });
  expect(decisions.map(({ kind }) => kind)).toEqual(['drop', 'keep', 'seal']);
});

test('an author who is caught is quarantined also when there is no link with it', () => {
  const { member } = betrayed([8, 8, 8, 8]);
  const decisions = happen(member, 3, { kind: 'origin arrived', piece: 0, hash: 'the truth' });
  expect(only(decisions, 'quarantine')).toEqual([{ kind: 'quarantine', member: 8, ms: LIE_QUARANTINE_MS, why: 'lie' }]);
});

test('who is caught with one blob is not believed with another, which need not fail first', () => {
  const { member: filling } = betrayedButOne(8);
  const { standing } = filling;
  convict(standing, 9, 5);
  expect(only(happen(filling, 1000, { kind: 'tick' }), 'drop')).toEqual([]);
  convict(standing, 8, 1001);
  const decisions = happen(filling, 2000, { kind: 'tick' });
  expect(only(decisions, 'drop')).toEqual([{ kind: 'drop', pieces: [0, 1, 2] }]);
  expect(only(happen(filling, 3000, { kind: 'tick' }), 'drop')).toEqual([]);
});

test('the pieces of a liar that was caught elsewhere go while another suspect is on its way', () => {
  const { member } = betrayed([7, 8, 8, 8]);
  convict(member.standing, 8, 3);
  const decisions = happen(member, 1000, { kind: 'tick' });
  expect(only(decisions, 'drop')).toEqual([{ kind: 'drop', pieces: [1, 2, 3] }]);
  expect(only(decisions, 'stop fetch')).toEqual([]);
  expect(only(happen(member, 1001, { kind: 'origin arrived', piece: 0, hash: '0' }), 'drop')).toEqual([]);
  expect(member.standing.acquitted.get(7)).toBe(1);
});

test('who was caught by another is suspected first', () => {
  const { decisions } = betrayed([7, 8, 9, 10], { caught: 9 });
  expect(decisions).toEqual([{ kind: 'fetch', run: { start: 2, end: 3 } }]);
});

test('who was found right with one blob is suspected last with another', () => {
  const standing = newStanding();
  const { member } = betrayed([7, 8, 8, 8], { standing });
  happen(member, 3, { kind: 'origin arrived', piece: 0, hash: '0' });
  const { decisions } = betrayed([7, 9, 9, 9], { standing });
  expect(only(decisions, 'fetch')).toEqual([{ kind: 'fetch', run: { start: 1, end: 2 } }]);
});

test('after one failure, those whom others caught are looked at before the digest is asked again', () => {
  const { member } = betrayed([7, 8, 8, 9]);
  happen(member, 3, { kind: 'origin arrived', piece: 0, hash: 'the truth' });
  expect(only(happen(member, 1000, { kind: 'tick' }), 'fetch')).toEqual([]);
  doubt(member.standing, 8, 2, 1001);
  expect(only(happen(member, 2000, { kind: 'tick' }), 'fetch')).toEqual([{ kind: 'fetch', run: { start: 1, end: 2 } }]);
  const decisions = happen(member, 2001, { kind: 'origin arrived', piece: 1, hash: 'the truth' });
  expect(only(decisions, 'drop')).toEqual([{ kind: 'drop', pieces: [1, 2] }]);
});

test('before any failure the word of one that it caught another is not enough, and that of two is', () => {
  const { member } = betrayedButOne(8);
  doubt(member.standing, 8, 2, 2);
  expect(only(happen(member, 1000, { kind: 'tick' }), 'fetch')).toEqual([]);
  doubt(member.standing, 8, 2, 1001);
  doubt(member.standing, 8, 3, 1001);
  const [fetch] = only(happen(member, 2000, { kind: 'tick' }), 'fetch');
  const piece = fetch?.run.start ?? -1;
  const decisions = happen(member, 2001, { kind: 'origin arrived', piece, hash: 'the truth' });
  expect(only(decisions, 'quarantine')).toMatchObject([{ member: 8, why: 'lie' }]);
});

test('members that say they caught everybody cost one piece of each author', () => {
  const { member } = betrayed([7, 8, 9, 9]);
  happen(member, 3, { kind: 'origin arrived', piece: 0, hash: 'the truth' });
  for (const doubter of [2, 3, 7]) for (const author of [8, 9]) doubt(member.standing, author, doubter, 4);
  expect(looksAt(member, 1000, 2000, 3000, 4000)).toHaveLength(2);
  for (const doubter of [2, 3]) for (const author of [8, 9]) doubt(member.standing, author, doubter, 4001);
  expect(looksAt(member, 5000, 6000)).toEqual([]);
});

test('one piece of an author is looked at at a time, whatever blobs it stands for', () => {
  const standing = newStanding();
  const { decisions } = betrayed([8, 8, 8, 8], { standing });
  expect(only(decisions, 'fetch')).toHaveLength(1);
  const other = betrayed([8, 8, 8, 8], { standing });
  expect(other.decisions).toEqual([]);
  expect(only(happen(other.member, 1000, { kind: 'tick' }), 'fetch')).toEqual([]);
  expect(only(happen(other.member, LOOK_MS + 2, { kind: 'tick' }), 'fetch')).toHaveLength(1);
});

test('a piece that is looked at is dropped with all others when its author is caught meanwhile', () => {
  const { member } = betrayed([7, 7, 7, 7]);
  convict(member.standing, 7, 3);
  const decisions = happen(member, 1000, { kind: 'tick' });
  expect(only(decisions, 'stop fetch')).toHaveLength(1);
  expect(only(decisions, 'drop')).toEqual([{ kind: 'drop', pieces: ALL }]);
  expect(happen(member, 1001, { kind: 'origin arrived', piece: 0, hash: '0' })).toEqual([]);
});

test('a lease for what is here on the word of another is taken at its word when some word was false', () => {
  const { member } = betrayed([7, 8, 8, 8]);
  happen(member, 3, { kind: 'origin arrived', piece: 0, hash: 'the truth' });
  const decisions = happen(member, 4, { kind: 'leased', home: 100, run: { start: 1, end: 2 } });
  expect(only(decisions, 'landed')).toEqual([]);
  expect(only(decisions, 'fetch')).toEqual([{ kind: 'fetch', run: { start: 1, end: 2 } }]);
  const judged = happen(member, 5, { kind: 'origin arrived', piece: 1, hash: 'the truth' });
  expect(only(judged, 'drop')).toEqual([{ kind: 'drop', pieces: [1, 2, 3] }]);
  expect(only(judged, 'landed')).toEqual([{ kind: 'landed', home: 100, piece: 1 }]);
});

test('a home hears at once who was caught, and hears it once', () => {
  const { member } = betrayed([8, 8, 8, 8]);
  happen(member, 2, { kind: 'tick' }, { kind: 'answered', home: 100, answer: ANSWER });
  happen(member, 3, { kind: 'origin arrived', piece: 0, hash: 'the truth' });
  const [first] = only(happen(member, 1000, { kind: 'tick' }), 'report');
  expect(first?.report.caught).toEqual([8]);
  happen(member, 1001, { kind: 'answered', home: 100, answer: ANSWER });
  const [second] = only(happen(member, 40_000, { kind: 'tick' }), 'report');
  expect(second?.report.caught).toEqual([]);
});

test('a home hears what is no longer here with who was caught', () => {
  const { member } = betrayedButOne(8);
  happen(member, 2, { kind: 'tick' }, { kind: 'answered', home: 100, answer: ANSWER });
  convict(member.standing, 8, 3);
  const [report] = only(happen(member, 1000, { kind: 'tick' }), 'report');
  expect(report?.report.caught).toEqual([8]);
  expect(listPieces(report?.report.held ?? bitmapOf(1, [0]))).toEqual([]);
});
