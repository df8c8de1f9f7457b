import type { MemberId } from '@drayage/exchange';
import type { Contact } from '../contact.ts';

/** Members on the roll; who was named longest ago is struck off, and counts as gone. */
const MEMBERS_MAX = 65_536;

/** The members that were ever named here: the numbers the exchange knows them by, and where they accept links. */
export interface Roll {
  readonly self: MemberId;
  idOf(member: string): MemberId;
  /** Undefined when it was struck off. */
  memberOf(id: MemberId): string | undefined;
  contactOf(member: string): Contact | undefined;
  note(contact: Contact): MemberId;
}

export function openRoll(self: Contact): Roll {
  const ids = new Map<string, MemberId>();
  const members = new Map<MemberId, string>();
  const contacts = new Map<string, Contact>();
  let next = 0;

  function idOf(member: string): MemberId {
    const known = ids.get(member);
    if (known !== undefined) return known;
    const id = next++;
    ids.set(member, id);
    members.set(id, member);
    if (ids.size > MEMBERS_MAX) strikeOldest();
    return id;
  }

  function strikeOldest(): void {
    for (const [member, id] of ids) {
      if (member === self.member) continue;
      ids.delete(member);
      members.delete(id);
      contacts.delete(member);
      return;
    }
  }

  contacts.set(self.member, self);
  return {
    self: idOf(self.member),
    idOf,
    memberOf: (id) => members.get(id),
    contactOf: (member) => contacts.get(member),
    note(contact) {
      const id = idOf(contact.member);
      // A member that says nothing of where it is does not move by it.
      if (contact.links.length > 0 && contact.member !== self.member) contacts.set(contact.member, contact);
      return id;
    },
  };
}
