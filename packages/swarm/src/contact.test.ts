import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isMember, parseContact } from './contact.ts';

const MEMBER = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString();

test('a contact says who and where', () => {
  const contact = { member: MEMBER, links: [{ host: '10.0.0.1', port: 5051 }], zone: 'z1' };
  expect(parseContact(contact)).toEqual(contact);
});

test('a name that only looks like that of a member is none: nobody has to expect it further on', () => {
  expect(isMember(MEMBER)).toBe(true);
  for (const name of [
    'a'.repeat(52),
    `12D3KooW${'z'.repeat(44)}`,
    `12D3KooW${'1'.repeat(44)}`,
    MEMBER.slice(1),
    '',
    7,
    null,
  ])
    expect(isMember(name)).toBe(false);
  const letter = fc.constantFrom(...'123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz');
  fc.assert(
    fc.property(fc.string({ unit: letter, minLength: 44, maxLength: 44 }), (rest) => {
      const name = `12D3KooW${rest}`;
      if (isMember(name)) expect(peerIdFromString(name).toString()).toBe(name);
    }),
  );
});

test('whatever comes is a contact or none, and never a fault', () => {
  const nearly = fc.record(
    {
      member: fc.oneof(fc.constant(MEMBER), fc.jsonValue()),
      links: fc.oneof(
        fc.array(fc.record({ host: fc.string(), port: fc.integer() }), { maxLength: 20 }),
        fc.jsonValue(),
      ),
      zone: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), nearly), (value) => {
      expect(parseContact(value)?.links.length ?? 0).toBeLessThanOrEqual(8);
    }),
  );
});
