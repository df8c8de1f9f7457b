import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Digest, Failure, sha256 } from '@drayage/core';
import { expect, test, vi } from 'vitest';
import type { Contact } from '../contact.ts';
import { DOOR_LIMITS } from '../link/door.ts';
import { listenForLinks } from '../link/listen.ts';
import type { LinkReason } from '../link/reason.ts';
import type { Link, OpenTerms } from '../link/types.ts';
import { type LinkLines, openLinkLines } from '../link-lines.ts';
import { linkOptionsOf, newIdentity } from './fake-hosts.ts';
import { type Listener, type Mesh, type MeshParts, openMesh } from './mesh.ts';

const DIGEST = sha256(Buffer.from('a blob'));
const TERMS: OpenTerms = { zone: undefined };

interface Side extends AsyncDisposable {
  readonly mesh: Mesh;
  readonly contact: Contact;
  readonly told: string[];
  readonly shunned: string[];
  readonly barred: Set<string>;
}

async function startSide(changes: Partial<MeshParts> = {}): Promise<Side> {
  await using stack = new AsyncDisposableStack();
  const [told, shunned, barred]: [string[], string[], Set<string>] = [[], [], new Set()];
  const links = await linkOptionsOf(await newIdentity());
  const mesh = openMesh({
    links,
    listenerOf: () => undefined,
    startListener: async () => undefined,
    isBarred: (member) => barred.has(member),
    heardCaught: (member, caught) => void told.push(`${member} caught ${caught}`),
    lines: openLinkLines(() => undefined),
    shun: (member) => void shunned.push(member),
    report: (happening) =>
      void told.push(`${happening.kind} ${'problem' in happening ? happening.problem : ''}`.trim()),
    ...changes,
  });
  const at = { host: '127.0.0.1', port: 0, admits: mesh.admits, doorLimits: DOOR_LIMITS };
  const { host, port } = stack.use(await listenForLinks({ ...mesh.linkParts, ...at }));
  stack.use(mesh);
  const owned = stack.move();
  const contact = { member: links.identity.member, links: [{ host, port }], zone: undefined };
  return { mesh, contact, told, shunned, barred, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A listener that writes down what it is told. */
function listening(told: string[]): Listener {
  const tell = (what: string) => () => void told.push(what);
  return {
    ...{
      opened: tell('opened'),
      closed: tell('closed'),
      has: tell('has'),
      lost: tell('lost'),
      offered: tell('offered'),
    },
    ...{ declined: tell('declined'), wants: tell('wants'), cancelled: tell('cancelled'), refused: tell('refused') },
    ...{ arrived: () => undefined, ended: tell('ended') },
  };
}

/** An address where somebody listens and says nothing. */
async function startHole(): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test('questions and answers go over the link there is, both ways', async () => {
  const sides: Side[] = [];
  const linesOf = (at: number) => openLinkLines((member) => sides[at]?.mesh.linkTo(member));
  const [lines, others] = [linesOf(0), linesOf(1)];
  for (const own of [lines, others])
    own.answerWith(async (member, { id, body }) => ({ id, body: `${member}: ${body}` }));
  await using one = await startSide({ lines });
  await using other = await startSide({ lines: others });
  sides.push(one, other);
  const ask = (from: LinkLines, to: Side) => from.ask(to.contact.member, 'echo', 'hello', new AbortController().signal);
  expect(await ask(lines, other)).toBeUndefined();
  await one.mesh.reach(other.contact);
  expect(await ask(lines, other)).toEqual({ body: `${one.contact.member}: hello` });
  expect(await ask(others, one)).toEqual({ body: `${other.contact.member}: hello` });
  one.mesh.part(other.contact.member);
  expect(await ask(lines, other)).toBeUndefined();
});

test('all who want a link to one member at once get the same', async () => {
  await using one = await startSide();
  await using other = await startSide();
  const links = await Promise.all([one.mesh.reach(other.contact), one.mesh.reach(other.contact)]);
  expect(links[0]).toBe(links[1]);
  expect(await one.mesh.reach(other.contact)).toBe(links[0]);
  expect(one.mesh.list()).toHaveLength(1);
});

test('a member that is not at one address is looked for at the next', async () => {
  await using one = await startSide();
  await using other = await startSide();
  const links = [{ host: '127.0.0.1', port: 1 }, ...other.contact.links];
  expect((await one.mesh.reach({ ...other.contact, links })).member).toBe(other.contact.member);
});

test('a member that is nowhere is a failure, and no link', async () => {
  await using one = await startSide();
  await using other = await startSide();
  const nobody = { ...other.contact, member: one.contact.member };
  await expect(one.mesh.reach(nobody)).rejects.toMatchObject({ code: 'member_unreachable' });
  const another = { ...nobody, member: 'another' };
  await expect(one.mesh.reach({ ...another, links: [] })).rejects.toMatchObject({ code: 'member_unreachable' });
  await vi.waitFor(() => expect(one.mesh.list()).toEqual([]));
});

test('a mesh that is closed dials nobody any more', async () => {
  await using hole = await startHole();
  await using one = await startSide();
  await using other = await startSide();
  const links = [{ host: '127.0.0.1', port: hole.port }];
  const reaching = one.mesh.reach({ ...other.contact, links: [...links, ...other.contact.links] });
  const refused = expect(reaching).rejects.toMatchObject({ code: 'member_unreachable' });
  await one.mesh[Symbol.asyncDispose]();
  await refused;
  expect(one.mesh.list()).toEqual([]);
});

test('a member that is barred is neither reached nor let in', async () => {
  await using one = await startSide();
  await using other = await startSide();
  one.barred.add(other.contact.member);
  await expect(one.mesh.reach(other.contact)).rejects.toThrow('left alone');
  await expect(other.mesh.reach(one.contact)).rejects.toThrow('no link');
});

test('a member that lets nobody in is not dialled again at once', async () => {
  await using one = await startSide();
  await using other = await startSide();
  one.barred.add(other.contact.member);
  const refusals = () => one.told.filter((what) => what.startsWith('link')).length;
  await expect(other.mesh.reach(one.contact)).rejects.toThrow('no link');
  await vi.waitFor(() => expect(refusals()).toBe(1));
  await expect(other.mesh.reach(one.contact)).rejects.toThrow('a moment ago');
  expect(refusals()).toBe(1);
});

test.each<[LinkReason, boolean]>([
  ['malformed', true],
  ['unasked', true],
  ['excess', true],
  ['closed', false],
  ['left', false],
  ['broken', false],
  ['refused', false],
])('whose link ends as "%s" is shunned: %s', async (reason, isShunned) => {
  await using one = await startSide();
  await using other = await startSide();
  (await one.mesh.reach(other.contact)).end(reason);
  expect(one.shunned).toEqual(isShunned ? [other.contact.member] : []);
});

test('all who are linked hear whom a member caught in a lie', async () => {
  await using one = await startSide();
  await using others = new AsyncDisposableStack();
  const sides = [others.use(await startSide()), others.use(await startSide())];
  for (const { contact } of sides) await one.mesh.reach(contact);
  const { member } = one.contact;
  one.mesh.tellCaught(member);
  for (const { told } of sides) await vi.waitFor(() => expect(told).toContain(`${member} caught ${member}`));
});

test('parting with a member leaves links with others alone', async () => {
  await using one = await startSide();
  await using bad = await startSide();
  await using good = await startSide();
  const [first, second] = [await one.mesh.reach(bad.contact), await one.mesh.reach(good.contact)];
  one.mesh.part(bad.contact.member);
  expect([first.isOpen(), second.isOpen()]).toEqual([false, true]);
});

/** Opens a blob on a link to this side, and says how it was answered. */
async function ask(side: Side): Promise<{ readonly link: Link; readonly told: string[] }> {
  const told: string[] = [];
  const listener = listening(told);
  const asker = await startSide({ listenerOf: () => listener });
  const link = await asker.mesh.reach(side.contact);
  asker.mesh.open(link, DIGEST, TERMS, listener);
  await vi.waitFor(() => expect(told.length).toBeGreaterThan(0));
  await new Promise((resolve) => setTimeout(resolve, 20));
  const isOpen = link.isOpen();
  await asker[Symbol.asyncDispose]();
  return { link: { ...link, isOpen: () => isOpen }, told };
}

const refusing: readonly [
  what: string,
  lines: number,
  startListener: (digest: Digest) => Promise<Listener | undefined>,
][] = [
  ['a blob that is not here', 0, async () => undefined],
  ['a blob that a failing disk does not give', 0, () => Promise.reject(new Failure('disk_failed', 'no'))],
  ['a blob that a fault keeps from being looked up', 1, () => Promise.reject(new TypeError('a fault'))],
  ['a blob whose part is over before it begins', 0, async () => listening([])],
];

test.each(refusing)('%s is refused, and the link goes on', async (_what, lines, startListener) => {
  await using side = await startSide({ startListener });
  const { link, told } = await ask(side);
  expect(told.slice(0, 2)).toEqual(['opened', 'closed']);
  expect(link.isOpen()).toBe(true);
  expect(side.told.filter((line) => line.startsWith('error'))).toHaveLength(lines);
});

test('who opens and closes channels without end is shut out', async () => {
  await using side = await startSide();
  await using rogue = await startSide();
  const link = await rogue.mesh.reach(side.contact);
  for (let at = 0; at < 5000 && link.isOpen(); at++) {
    const own = rogue.mesh.open(link, DIGEST, TERMS, listening([])) ?? -1;
    rogue.mesh.close({ link, own, theirs: undefined });
  }
  await vi.waitFor(() => expect(side.shunned).toEqual([rogue.contact.member]));
});
