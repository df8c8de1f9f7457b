import { type Digest, describe, Failure, isFailure, type Report } from '@drayage/core';
import { type Allowances, keepAllowances } from '../allowance.ts';
import type { Contact } from '../contact.ts';
import { dialLink } from '../link/dial.ts';
import { LinkFailure, type LinkReason } from '../link/reason.ts';
import type { Link, LinkEvent, LinkHandlers, LinkParts, OpenTerms, PiecePart, Wanted } from '../link/types.ts';
import type { LinkLines } from '../link-lines.ts';
import { keepRests } from './rests.ts';

/** Links of this host, over all blobs. */
const LINKS_MAX = 256;
/** A member is tried at all its addresses for this long. */
const DIAL_WAIT_MS = 6000;
/** Channels that one member may open at once, and then per second: each makes us look a blob up, and say what is here. */
const OPENS = { most: 2048, perSecond: 64, now: (): number => performance.now() };
/** Reasons for which a link ends that no member gives who keeps to the rules. */
const RUDE: ReadonlySet<LinkReason> = new Set(['malformed', 'unasked', 'excess']);

/** What a blob's part hears from one link. Channels are the other side's, but for the answers to a want. */
export interface Listener {
  opened(link: Link, channel: number, terms: OpenTerms): void;
  closed(link: Link, channel: number): void;
  has(link: Link, channel: number, pieces: Iterable<number>, inFlight: number): void;
  lost(link: Link, channel: number, pieces: Iterable<number>): void;
  offered(link: Link, channel: number, insists: boolean): void;
  declined(link: Link, channel: number, inFlight: number): void;
  wants(link: Link, wanted: Wanted): void;
  cancelled(link: Link, channel: number, piece: number): void;
  arrived(link: Link, part: PiecePart): Promise<void> | undefined;
  refused(link: Link, channel: number, piece: number, why: 'busy' | 'gone'): void;
  /** The link is gone, and its channels with it. */
  ended(link: Link): void;
}

/** The channels of one blob on a link: ours, and the other side's when it has opened one. */
interface ChannelPair {
  readonly link: Link;
  readonly own: number;
  readonly theirs: number | undefined;
}

export interface MeshParts {
  readonly links: Omit<LinkParts, 'handlersFor' | 'report'>;
  /** Who takes part in a blob's exchange here, if anybody does. */
  readonly listenerOf: (digest: Digest) => Listener | undefined;
  /** The same, made when the blob is sealed here. Undefined when it is not. */
  readonly startListener: (digest: Digest) => Promise<Listener | undefined>;
  readonly isBarred: (member: string) => boolean;
  /** A member says that it caught another in a lie. */
  readonly heardCaught: (member: string, caught: string) => void;
  /** Who takes part in the questions and answers on links. */
  readonly lines: Pick<LinkLines, 'questioned' | 'answered' | 'ended'>;
  /** A member broke the rules of a link. */
  readonly shun: (member: string) => void;
  readonly report: Report;
}

/** The links to other members: dialled when needed, shared by all blobs. */
export interface Mesh extends AsyncDisposable {
  /** For those who accept links. */
  readonly linkParts: LinkParts;
  admits(member: string): boolean;
  /** A link to the member: an open one, else a new one. Throws `member_unreachable` in bounded time. */
  reach(contact: Contact): Promise<Link>;
  /** An open link to the member, if there is one. */
  linkTo(member: string): Link | undefined;
  /** Gives the blob a channel on the link; what comes on it goes to the listener. */
  open(link: Link, digest: Digest, terms: OpenTerms, listener: Listener): number | undefined;
  /** Closes our channel; what comes on theirs is for nobody any more. */
  close(pair: ChannelPair): void;
  /** The same where we have none. */
  forget(link: Link, channel: number): void;
  /** Tells all who are linked that a member was caught in a lie. */
  tellCaught(member: string): void;
  /** Ends every link to a member. */
  part(member: string): void;
  list(): readonly Link[];
}

interface Channels {
  /** By the channel's number on our side. */
  readonly own: Map<number, Listener>;
  /** By its number on theirs; a promise while it is found out whether the blob is here. */
  readonly theirs: Map<number, Listener | Promise<Listener | undefined>>;
}

export function openMesh({ links: common, isBarred, shun, lines, report, ...finding }: MeshParts): Mesh {
  const stop = new AbortController();
  const opens = keepAllowances(OPENS);
  const links = new Map<Link, Channels>();
  const dialling = new Map<string, Promise<Link>>();
  const rests = keepRests(() => performance.now());
  const linkParts: LinkParts = { ...common, handlersFor, report: (event) => tell(report, event) };

  function handlersFor(link: Link): LinkHandlers {
    const channels: Channels = { own: new Map(), theirs: new Map() };
    links.set(link, channels);
    return { ...channelHandlers(link, channels, { ...finding, opens, lines, report }), ended };

    function ended(reason: LinkReason): void {
      links.delete(link);
      lines.ended(link);
      if (RUDE.has(reason)) shun(link.member);
      tellEnded(link, channels);
    }
  }

  const linkTo = (member: string): Link | undefined =>
    links.keys().find((link) => link.member === member && link.isOpen());

  /** For all who want the link: it does not end with the first of them. */
  async function dial(contact: Contact): Promise<Link> {
    try {
      const link = await dialAll(linkParts, contact, stop.signal);
      rests.end(contact.member);
      return link;
    } catch (error) {
      rests.begin(contact.member);
      throw error;
    }
  }

  return {
    ...{ linkParts, linkTo },
    admits: (member) => links.size < LINKS_MAX && !isBarred(member),
    async reach(contact) {
      const { member } = contact;
      if (isBarred(member)) throw new Failure('member_unreachable', `member ${member} is left alone`);
      const open = linkTo(member);
      if (open) return open;
      if (rests.isOn(member)) throw new Failure('member_unreachable', `no link to member ${member} a moment ago`);
      if (links.size + dialling.size >= LINKS_MAX) throw new Failure('member_unreachable', 'too many links already');
      const running = dialling.get(member) ?? dial(contact).finally(() => dialling.delete(member));
      dialling.set(member, running);
      return await running;
    },
    open(link, digest, terms, listener) {
      const channel = link.isOpen() ? link.open(digest, terms) : undefined;
      if (channel !== undefined) links.get(link)?.own.set(channel, listener);
      return channel;
    },
    close({ link, own, theirs }) {
      links.get(link)?.own.delete(own);
      if (theirs !== undefined) links.get(link)?.theirs.delete(theirs);
      if (link.isOpen()) link.close(own);
    },
    forget: (link, channel) => void links.get(link)?.theirs.delete(channel),
    tellCaught(member) {
      for (const link of links.keys()) if (link.isOpen()) link.caught(member);
    },
    part(member) {
      for (const link of [...links.keys()]) if (link.member === member) link.end('denied');
    },
    list: () => [...links.keys()],
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the agent is stopping'));
      await Promise.all([...links.keys()].map((link) => link[Symbol.asyncDispose]()));
    },
  };
}

function tellEnded(link: Link, { own, theirs }: Channels): void {
  const listeners = new Set([...own.values(), ...theirs.values()]);
  for (const listener of listeners) if (!(listener instanceof Promise)) listener.ended(link);
}

/** Tries a member at all its addresses. */
async function dialAll(linkParts: LinkParts, { member, links }: Contact, signal: AbortSignal): Promise<Link> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(DIAL_WAIT_MS)]);
  let problem: unknown = new Error('it names no address for links');
  for (const { host, port } of links) {
    try {
      return await dialLink(linkParts, { member, host, port }, either);
    } catch (error) {
      problem = error;
      if (either.aborted) break;
    }
  }
  throw new Failure('member_unreachable', `no link to member ${member}`, { cause: problem });
}

interface ChannelParts extends Pick<MeshParts, 'listenerOf' | 'startListener' | 'heardCaught' | 'lines' | 'report'> {
  readonly opens: Allowances;
}

function channelHandlers(
  link: Link,
  { own, theirs }: Channels,
  { listenerOf, startListener, heardCaught, lines, report, opens }: ChannelParts,
): Omit<LinkHandlers, 'ended'> {
  const heard = (channel: number, tell: (listener: Listener) => void): void => {
    const listener = theirs.get(channel);
    // What is said before the answer is known, nobody asked for.
    if (listener !== undefined && !(listener instanceof Promise)) tell(listener);
  };

  async function answer(channel: number, digest: Digest, terms: OpenTerms): Promise<void> {
    const starting = startListener(digest).catch((error: unknown) => {
      // A store in trouble tells so itself, and as often as others ask is too often.
      if (!isFailure(error)) report({ kind: 'error', where: 'links', problem: describe(error) });
      return undefined;
    });
    theirs.set(channel, starting);
    // What was started may be over by now.
    const listener = (await starting) && listenerOf(digest);
    // Closed, perhaps opened again, in the meantime.
    if (theirs.get(channel) !== starting || !link.isOpen()) return;
    theirs.delete(channel);
    if (listener) {
      theirs.set(channel, listener);
      listener.opened(link, channel, terms);
      return;
    }
    // A refusal: opened, so that the other side knows what about, and closed at once.
    const refusal = link.open(digest, { zone: undefined, isAnswer: true });
    if (refusal !== undefined) link.close(refusal);
  }

  return {
    opened(channel, digest, terms) {
      if (!opens.take(link.member, 1)) throw new LinkFailure('excess', 'opens too many channels');
      const listener = listenerOf(digest);
      if (listener) {
        theirs.set(channel, listener);
        return listener.opened(link, channel, terms);
      }
      // An answer to a question that was given up.
      if (terms.isAnswer) return;
      answer(channel, digest, terms).catch((error: unknown) => {
        report({ kind: 'error', where: 'links', problem: `a blob could not be opened for others: ${describe(error)}` });
        link.end('refused');
      });
    },
    closed(channel) {
      heard(channel, (listener) => listener.closed(link, channel));
      theirs.delete(channel);
    },
    has: (channel, pieces, inFlight) => heard(channel, (listener) => listener.has(link, channel, pieces, inFlight)),
    lost: (channel, pieces) => heard(channel, (listener) => listener.lost(link, channel, pieces)),
    offered: (channel, insists) => heard(channel, (listener) => listener.offered(link, channel, insists)),
    declined: (channel, inFlight) => heard(channel, (listener) => listener.declined(link, channel, inFlight)),
    wants(wanted) {
      const { channel, piece } = wanted;
      const listener = theirs.get(channel);
      if (listener === undefined || listener instanceof Promise) link.gone(channel, piece);
      else listener.wants(link, wanted);
    },
    cancelled: (channel, piece) => heard(channel, (listener) => listener.cancelled(link, channel, piece)),
    arrived: (part) => own.get(part.channel)?.arrived(link, part),
    isBusy: (channel, piece) => own.get(channel)?.refused(link, channel, piece, 'busy'),
    isGone: (channel, piece) => own.get(channel)?.refused(link, channel, piece, 'gone'),
    caught: (member) => heardCaught(link.member, member),
    questioned: (message) => lines.questioned(link, message),
    answered: (message) => lines.answered(link, message),
  };
}

function tell(report: Report, event: LinkEvent): void {
  if (event.kind === 'link_opened') report({ kind: 'link', state: 'opened', member: event.member, reason: undefined });
  else if (event.kind === 'link_ended')
    report({ kind: 'link', state: 'ended', member: event.member, reason: event.reason });
  else report({ kind: 'link', state: 'refused', member: event.address, reason: event.reason });
}
