import { Failure, planPieces, type Remote, sha256 } from '@drayage/core';
import { emptyBitmap, type Member, newMember, newStanding, newUplink, stepMember } from '@drayage/exchange';
import { expect, test } from 'vitest';
import type { Inside } from './part-types.ts';
import { type Patience, watchPatience } from './patience.ts';

const PLAN = planPieces(1_000_000);
const DOWN = new Failure('origin_unavailable', 'down');

interface Scene {
  readonly patience: Patience;
  readonly member: Member;
  readonly ends: unknown[];
  at(ms: number): void;
}

function setScene(): Scene {
  let now = 0;
  const ends: unknown[] = [];
  const parts = { self: 0, plan: PLAN, homes: [], zone: undefined, uplink: newUplink(), random: () => 0.5 };
  const member = newMember({ ...parts, standing: newStanding() }, -1);
  const inside = {
    shared: { now: () => now },
    digest: sha256(Buffer.from('a blob')),
    member: () => member,
    end: (outcome: unknown) => void ends.push(outcome),
  } as unknown as Inside; // patience asks no more than this
  const patience = watchPatience(inside, { origin: 'o.example' } as Remote);
  return {
    ...{ patience, member, ends },
    at(ms) {
      now = ms;
      patience.look();
    },
  };
}

function link(member: Member, pieces: number): void {
  const held = emptyBitmap(PLAN.count).fill((1 << pieces) - 1);
  stepMember(member, 0, { kind: 'linked', link: 7, hello: { held, zone: undefined } });
}

test('one failure is not yet a failing origin', () => {
  const { patience, ends, at } = setScene();
  patience.failed(DOWN);
  at(60_000);
  expect(ends).toEqual([]);
});

test('with nobody else there, a failing origin ends the fill in a moment', () => {
  const { patience, ends, at } = setScene();
  patience.failed(DOWN);
  patience.failed(DOWN);
  at(1499);
  expect(ends).toEqual([]);
  at(1500);
  expect(ends).toEqual([DOWN]);
});

test.each([
  ['that have nothing', 0, 3000],
  ['that have some of it', 1, 12_000],
])('members %s are waited for', (_what, pieces, ms) => {
  const { patience, member, ends, at } = setScene();
  link(member, pieces);
  patience.failed(DOWN);
  patience.failed(DOWN);
  at(ms - 1);
  expect(ends).toEqual([]);
  at(ms);
  expect(ends).toEqual([DOWN]);
});

test('one refusal is enough, and what is no failure yet becomes one', () => {
  const refused = setScene();
  refused.patience.failed(new Failure('denied', 'no'));
  refused.at(1500);
  expect(refused.ends).toMatchObject([{ code: 'denied' }]);
  const broken = setScene();
  broken.patience.failed(new Error('reset'));
  broken.patience.failed(new Error('reset'));
  broken.at(1500);
  expect(broken.ends).toMatchObject([{ code: 'origin_unavailable' }]);
});

test('whatever comes in makes for fresh patience', () => {
  const { patience, member, ends, at } = setScene();
  patience.failed(DOWN);
  patience.failed(DOWN);
  member.gainedAt = 200;
  at(10_000);
  expect(ends).toEqual([]);
  patience.failed(DOWN);
  at(60_000);
  expect(ends).toEqual([]);
});
