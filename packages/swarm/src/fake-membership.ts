import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, type Happening, sha256 } from '@drayage/core';
import { keepAcquaintances, REACH, type Reach } from './acquaintances.ts';
import { type AnnouncerTimes, startAnnouncer } from './announcer.ts';
import { openApproach } from './approach.ts';
import { type Answerer, type Control, startControl } from './control.ts';
import { type Directory, openDirectory } from './directory.ts';
import { openIntroductions } from './introductions.ts';
import { parseJoinTarget, systemResolver } from './join.ts';
import { type JoiningTimes, startJoining } from './joining.ts';
import type { SwarmNode } from './node.ts';
import { openParting } from './parting.ts';
import { type PresenceTimes, watchPresence } from './presence.ts';
import { type Routing, routingOf } from './routing.ts';

const ASK_WAIT_MS = 30_000;

/** A member as far as the directory goes: it joins, announces and is asked, and moves no pieces. */
export interface TestMember extends AsyncDisposable {
  readonly id: string;
  readonly node: SwarmNode;
  readonly directory: Directory;
  readonly routing: Routing;
  readonly happenings: readonly Happening[];
  /** Holds a blob that is made of this name, and announces it. */
  hold(name: string): Digest;
  /** Asks another member whatever the test likes. */
  ask(member: string, kind: string, body: unknown): Promise<unknown>;
}

export interface TestMemberParts {
  readonly node: SwarmNode;
  /** Where to join, as `HOST:PORT`. */
  readonly joins: readonly string[];
  /** Quicker than the real ones; the real ones when undefined. */
  readonly times: TestTimes | undefined;
  /** As in life when undefined. */
  readonly reach?: Reach | undefined;
}

interface TestTimes {
  readonly presence: PresenceTimes;
  readonly joining: JoiningTimes;
  readonly announcer: AnnouncerTimes;
}

/** Puts the parts together as the agent does. The node is stopped with it. */
export async function startTestMember({ node, joins, times, reach = REACH }: TestMemberParts): Promise<TestMember> {
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => node.stop());
  const [now, random] = [Date.now, Math.random];
  const id = node.peerId.toString();
  const happenings: Happening[] = [];
  const report = (one: Happening) => void happenings.push(one);
  const routing = routingOf(node);
  const presence = cleanup.use(watchPresence({ node, routing, report, now, ...(times && { times: times.presence }) }));
  const self = { member: id, links: [], zone: undefined };
  const acquaintances = keepAcquaintances(node, routing);
  const among = { node, routing, acquaintances, presence, control: () => control, reach, now, random };
  const introductions = openIntroductions(among);
  const parting = openParting(among);
  const approach = openApproach({ ...among, self: id });
  const directory = openDirectory({ ...among, self, ...approach });
  const answerers: Readonly<Record<string, Answerer>> = {
    ...{ ...directory.answerers, ...introductions.answerers, ...approach.answerers, ...parting.answerers },
  };
  const control: Control = cleanup.use(await startControl({ ...parting, node, presence, answerers, report, now }));
  const held: Digest[] = [];
  const announcer = cleanup.use(
    startAnnouncer({
      directory,
      approach,
      parting,
      held: () => held,
      watch: presence.watch,
      report,
      now,
      ...(times && { times: times.announcer }),
    }),
  );
  cleanup.use(
    startJoining({
      node,
      routing,
      introductions,
      approach,
      parting,
      presence,
      targets: joins.map(parseJoinTarget),
      resolver: systemResolver,
      file: join(await mkdtemp(join(tmpdir(), 'drayage-member-')), 'members'),
      report,
      now,
      random,
      ...(times && { times: times.joining }),
    }),
  );
  const kept = cleanup.move();
  return {
    id,
    node,
    directory,
    routing,
    happenings,
    hold(name) {
      const digest = sha256(Buffer.from(name));
      held.push(digest);
      announcer.announce(digest);
      return digest;
    },
    ask: (member, kind, body) => control.ask(member, kind, body, AbortSignal.timeout(ASK_WAIT_MS)),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
