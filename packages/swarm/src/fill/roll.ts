import type { MemberId } from '@drayage/exchange';
import type { Contact } from '../contact.ts';

/** Members on the roll; who was named longest ago is struck off, and counts as gone. */
const MEMBERS_MAX = 65_536;

/** The members that were ever named here: the numbers the exchange knows them by, and where they accept links. */
export interface Roll {
  readonly self: MemberId;
  idOf(member: string): MemberId;
  /** Undefined when it was never named, or struck off. */
  knownAs(member: string): MemberId | undefined;
  /** Undefined when it was struck off. */
  memberOf(id: MemberId): string | undefined;
  /** Where it says it is, and then where others say it is. */
  contactOf(member: string): Contact | undefined;
  /** What a member says of itself. */
  note(contact: Contact): MemberId;
  /** What one member says of another: its own word goes before it. */
  hear(contact: Contact): MemberId;
}

/** A member, and where to find it. */
interface Entry {
  readonly member: string;
  own?: Contact;
  heard?: Contact;
}

export function openRoll(self: Contact): Roll {
  const ids = new Map<string, MemberId>();
  const entries = new Map<MemberId, Entry>();
  let next = 0;

  function idOf(member: string): MemberId {
    const known = ids.get(member);
    if (known !== undefined) return known;
    const id = next++;
    ids.set(member, id);
    entries.set(id, { member });
    if (ids.size > MEMBERS_MAX) strikeOldest();
    return id;
  }

  function strikeOldest(): void {
    for (const [member, id] of ids) {
      if (member === self.member) continue;
      ids.delete(member);
      entries.delete(id);
      return;
    }
  }

  function take(contact: Contact, what: 'own' | 'heard'): MemberId {
    const id = idOf(contact.member);
    const entry = entries.get(id);
    // A member that says nothing of where it is does not move by it.
    if (entry && contact.links.length > 0 && contact.member !== self.member) entry[what] = contact;
    return id;
  }

  const own: Roll['self'] = idOf(self.member);
  entries.set(own, { member: self.member, own: self });
  return {
    self: own,
    idOf,
    knownAs: (member) => ids.get(member),
    memberOf: (id) => entries.get(id)?.member,
    contactOf(member) {
      const id = ids.get(member);
      const entry = id === undefined ? undefined : entries.get(id);
      return both(entry?.own, entry?.heard);
    },
    note: (contact) => take(contact, 'own'),
    hear: (contact) => take(contact, 'heard'),
  };
}

function both(own: Contact | undefined, heard: Contact | undefined): Contact | undefined {
  if (!own || !heard) return own ?? heard;
  const isKnown = (host: string, port: number) => own.links.some((link) => link.host === host && link.port === port);
  return { ...own, links: [...own.links, ...heard.links.filter(({ host, port }) => !isKnown(host, port))] };
}
