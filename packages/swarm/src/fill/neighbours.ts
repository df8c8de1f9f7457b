import type { Digest } from '@drayage/core';
import { emptyBitmap, type MemberEvent, type MemberId } from '@drayage/exchange';
import type { Link, OpenTerms } from '../link/types.ts';
import type { Listener, Mesh } from './mesh.ts';
import type { Roll } from './roll.ts';

/** A member that does not answer an opened channel within this time has no use for us. */
const ANSWER_WAIT_MS = 3000;

/** A member we exchange one blob with, or are about to: linked when both have a channel on the same link. */
export interface Neighbour {
  readonly id: MemberId;
  readonly member: string;
  readonly link: Link;
  readonly own: number;
  theirs: number | undefined;
}

export interface NeighboursParts {
  readonly digest: Digest;
  readonly self: string;
  readonly terms: () => Omit<OpenTerms, 'isAnswer' | 'size'>;
  readonly mesh: Mesh;
  readonly roll: Roll;
  readonly listener: () => Listener;
  readonly step: (event: MemberEvent) => void;
  /** Says what is here, before anything else is said. */
  readonly greet: (neighbour: Neighbour) => void;
  /** Nothing comes from this member any more. */
  readonly gone: (id: MemberId) => void;
  readonly size: number;
  readonly pieceCount: number;
  readonly signal: AbortSignal;
}

/** Who we exchange one blob with. */
export interface Neighbours {
  /** Links up with a member; `linked` or `unlinked` follows. */
  connect(id: MemberId): void;
  disconnect(id: MemberId): void;
  of(id: MemberId): Neighbour | undefined;
  /** By a channel: of ours, or of the other side. */
  byOwn(link: Link, channel: number): Neighbour | undefined;
  byTheirs(link: Link, channel: number): Neighbour | undefined;
  opened(link: Link, channel: number, terms: OpenTerms): void;
  closed(link: Link, channel: number): void;
  ended(link: Link): void;
  size(): number;
  closeAll(): void;
}

export function keepNeighbours(parts: NeighboursParts): Neighbours {
  const { digest, mesh, roll, step, signal } = parts;
  const known = new Map<MemberId, Neighbour>();
  const waiting = new Map<MemberId, NodeJS.Timeout>();

  function note(neighbour: Neighbour): void {
    known.set(neighbour.id, neighbour);
    clearTimeout(waiting.get(neighbour.id));
    if (neighbour.theirs === undefined) waiting.set(neighbour.id, setTimeout(unlink, ANSWER_WAIT_MS, neighbour.id));
  }

  const open = (link: Link, isAnswer: boolean) =>
    mesh.open(link, digest, { ...parts.terms(), size: parts.size, isAnswer }, parts.listener());

  function unlink(id: MemberId): void {
    forget(id);
    step({ kind: 'unlinked', link: id });
  }

  function forget(id: MemberId): void {
    clearTimeout(waiting.get(id));
    waiting.delete(id);
    const neighbour = known.get(id);
    known.delete(id);
    if (!neighbour) return;
    parts.gone(id);
    mesh.close(neighbour);
  }

  async function connect(id: MemberId): Promise<void> {
    const link = await reach(parts, id);
    if (signal.aborted || known.has(id)) return;
    const own = link && open(link, false);
    if (!link || own === undefined) return unlink(id);
    note({ id, member: link.member, link, own, theirs: undefined });
  }

  function opened(link: Link, channel: number, terms: OpenTerms): void {
    const id = roll.idOf(link.member);
    const current = known.get(id);
    const isCurrent = current?.link === link;
    const isWelcome = !signal.aborted && takesUp(current, link, terms, parts);
    if (isWelcome && current && !isCurrent) (current.theirs === undefined ? forget : unlink)(id);
    const own = isCurrent ? current.own : isWelcome ? open(link, true) : undefined;
    if (own === undefined || !isWelcome) return void mesh.forget(link, channel);
    if (isCurrent && current.theirs !== undefined) mesh.forget(link, current.theirs);
    const neighbour = { id, member: link.member, link, own, theirs: channel };
    note(neighbour);
    parts.greet(neighbour);
    step({ kind: 'linked', link: id, hello: { ...terms, held: emptyBitmap(parts.pieceCount) } });
  }

  const find = finder(known);
  const byTheirs = (link: Link, channel: number) => find(link, ({ theirs }) => theirs === channel);
  const leave = (neighbour: Neighbour | undefined) => void (neighbour && unlink(neighbour.id));
  return {
    ...{ byTheirs, opened },
    connect: (id) => void connect(id).catch(() => unlink(id)),
    disconnect: forget,
    of: (id) => known.get(id),
    byOwn: (link, channel) => find(link, ({ own }) => own === channel),
    closed: (link, channel) => leave(byTheirs(link, channel)),
    ended: (link) => leave(find(link, () => true)),
    size: () => known.size,
    closeAll() {
      for (const id of [...known.keys()]) forget(id);
    },
  };
}

async function reach({ roll, mesh }: NeighboursParts, id: MemberId): Promise<Link | undefined> {
  const contact = roll.contactOf(roll.memberOf(id) ?? '');
  return contact && (await mesh.reach(contact).catch(() => undefined));
}

/** Whether a channel that the other side opened counts. */
function takesUp(
  current: Neighbour | undefined,
  link: Link,
  { isAnswer, size }: OpenTerms,
  { self, size: own }: NeighboursParts,
): boolean {
  // Cut in another way, its pieces would not be ours.
  if (size !== undefined && size !== own) return false;
  if (current?.link === link) return true;
  // An answer to a channel that was given up: answering it would be answered in turn, without end.
  if (isAnswer) return false;
  return !current?.link.isOpen() || isPreferred(link, self);
}

/** Of two links of one pair, both sides keep to the one that the lesser name dialled. */
function isPreferred({ side, member }: Link, self: string): boolean {
  return (side === 'dialler') === self < member;
}

type Find = (link: Link, test: (neighbour: Neighbour) => boolean) => Neighbour | undefined;

function finder(known: ReadonlyMap<MemberId, Neighbour>): Find {
  // By the link itself: a member that was struck off the roll has another number when it is named again.
  return (link, test) => known.values().find((neighbour) => neighbour.link === link && test(neighbour));
}
