import { formatHostPort } from './addresses.ts';
import type { Contact } from './contact.ts';
import type { Marks } from './fill/marks.ts';
import type { Mesh } from './fill/mesh.ts';
import type { MemberStatus } from './types.ts';

export interface MemberListParts {
  readonly mesh: Mesh;
  readonly marks: Marks;
  readonly contactOf: (member: string) => Contact | undefined;
  readonly connected: readonly string[];
}

/** Members that this host is connected or linked to, or has quarantined. */
export function listMembers({ mesh, marks, contactOf, connected }: MemberListParts): readonly MemberStatus[] {
  const links = mesh.list();
  const marked = marks.list();
  const members = new Set([...connected, ...links.map(({ member }) => member), ...marked.keys()]);
  return [...members].sort().map((member) => {
    const rates = links.filter((link) => link.member === member).map((link) => link.rates());
    const sum = (of: (rate: (typeof rates)[number]) => number) => rates.reduce((total, rate) => total + of(rate), 0);
    const contact = contactOf(member);
    return {
      member,
      zone: contact?.zone,
      addresses: contact?.links.map(formatHostPort) ?? [],
      isLinked: rates.length > 0,
      sentBytes: sum(({ sentBytes }) => sentBytes),
      receivedBytes: sum(({ receivedBytes }) => receivedBytes),
      sentBytesPerSecond: sum(({ sentBytesPerSecond }) => sentBytesPerSecond),
      receivedBytesPerSecond: sum(({ receivedBytesPerSecond }) => receivedBytesPerSecond),
      roundTripMs: rates.find(({ roundTripMs }) => roundTripMs !== undefined)?.roundTripMs,
      quarantine: marked.get(member),
    };
  });
}
