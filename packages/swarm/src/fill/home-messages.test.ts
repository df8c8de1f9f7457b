import { Failure, planPieces, sha256 } from '@drayage/core';
import { fullBitmap, listPieces, type MemberReport } from '@drayage/exchange';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { newIdentity } from './fake-hosts.ts';
import { decodeAbout, decodePieces, decodeReport, decodeRun, encodeReport } from './home-messages.ts';

const DIGEST = sha256(Buffer.from('a blob'));
const [MEMBER, OTHER] = (await Promise.all([newIdentity(), newIdentity()])).map((identity) =>
  peerIdFromPrivateKey(identity).toString(),
) as [string, string];
const CONTACT = { member: MEMBER, links: [{ host: '10.0.0.1', port: 5051 }], zone: 'z1' };
const NAMES = {
  memberOf: (id: number) => [undefined, MEMBER, OTHER][id],
  knownAs: (name: string) => (name === MEMBER ? 1 : 2),
};
const overTheWire = (message: unknown): unknown => JSON.parse(JSON.stringify(message));

const bitmap = (count: number) =>
  fc.uint8Array({ minLength: count, maxLength: count }).map((bits) => {
    const set = new Uint32Array((count + 31) >>> 5);
    bits.forEach((bit, piece) => {
      if (bit & 1) set[piece >>> 5] = (set[piece >>> 5] ?? 0) | (1 << (piece & 31));
    });
    return set;
  });

const reports = fc.integer({ min: 1, max: 100 * 262_144 }).chain((size) => {
  const set = bitmap(planPieces(size).count);
  return fc.record({
    size: fc.constant(size),
    report: fc.record<MemberReport>({
      held: set,
      lacking: fc.option(set, { nil: undefined }),
      leased: fc.option(set, { nil: undefined }),
      caught: fc.array(fc.constantFrom(1, 2), { maxLength: 8 }),
      wantsMembers: fc.boolean(),
      isFollowing: fc.boolean(),
      isComplete: fc.boolean(),
      zone: fc.constant('z1'),
      uplinkBytesPerSecond: fc.integer({ min: 0, max: 1e12 }),
    }),
  });
});

test('a report is after its journey what it was before', () => {
  fc.assert(
    fc.property(reports, ({ size, report }) => {
      const message = overTheWire(encodeReport({ digest: DIGEST, size }, CONTACT, report, NAMES));
      expect(decodeReport(MEMBER, message, NAMES)).toEqual({ digest: DIGEST, size, contact: CONTACT, report });
    }),
  );
});

test('pieces beyond the last one do not count', () => {
  const size = 5 * 262_144;
  const report = { wantsMembers: false, isFollowing: false, isComplete: true, uplinkBytesPerSecond: 0 };
  const held = Buffer.alloc(4, 0xff).toString('base64');
  const decoded = decodeReport(MEMBER, { digest: DIGEST, size, contact: CONTACT, held, ...report }, NAMES);
  expect(decoded.report.held).toEqual(fullBitmap(5));
  expect(listPieces(decoded.report.held)).toEqual([0, 1, 2, 3, 4]);
});

test('a member can only speak for itself', () => {
  const report = { held: '', wantsMembers: false, isFollowing: false, isComplete: false, uplinkBytesPerSecond: 0 };
  const message = { digest: DIGEST, size: 1, contact: { ...CONTACT, member: OTHER }, ...report };
  expect(() => decodeReport(MEMBER, message, NAMES)).toThrow('speak for itself');
});

/** Anything, and often nearly what it should be. */
const anything = fc.oneof(
  fc.jsonValue(),
  fc.record(
    {
      digest: fc.oneof(fc.constant(DIGEST), fc.jsonValue()),
      size: fc.oneof(fc.constant(1_000_000), fc.jsonValue()),
      contact: fc.oneof(fc.constant(CONTACT), fc.jsonValue()),
      held: fc.oneof(fc.constant('AAAAAA=='), fc.jsonValue()),
      lacking: fc.oneof(fc.constant('AAAAAA=='), fc.jsonValue()),
      leased: fc.jsonValue(),
      caught: fc.jsonValue(),
      uplinkBytesPerSecond: fc.jsonValue(),
      start: fc.oneof(fc.nat(8), fc.jsonValue()),
      end: fc.oneof(fc.nat(8), fc.jsonValue()),
      pieces: fc.oneof(fc.array(fc.oneof(fc.integer(), fc.jsonValue())), fc.jsonValue()),
    },
    { requiredKeys: [] },
  ),
);

function tryOut(work: () => void): void {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(Failure);
  }
}

test('whatever comes is understood or refused, and never a fault', () => {
  const plan = planPieces(1_000_000);
  fc.assert(
    fc.property(anything, (message) => {
      tryOut(() => decodeAbout(message));
      tryOut(() => decodeReport(MEMBER, message, NAMES));
      tryOut(() => {
        const { start, end } = decodeRun(message, plan);
        expect(start).toBeLessThan(end);
        expect(end).toBeLessThanOrEqual(plan.count);
      });
      tryOut(() => {
        for (const piece of decodePieces(message, plan)) expect(piece).toBeLessThan(plan.count);
      });
    }),
    { numRuns: 2000 },
  );
});
