/** Two members that look for each other on the local network alone. Ends when they have met. For a network of its own. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { everybodyHere, startTestNode, testKey } from './fake-swarm.ts';
import { systemResolver } from './join.ts';
import { startJoining } from './joining.ts';
import { routingOf } from './routing.ts';

const key = testKey();
const folder = await mkdtemp(join(tmpdir(), 'drayage-neighbours-'));
const nodes = await Promise.all([startTestNode([key]), startTestNode([key])]);
const joinings = nodes.map((node, at) =>
  startJoining({
    node,
    routing: routingOf(node),
    introductions: { meet: async () => ({ met: 0, missed: 0 }) },
    approach: { isLarge: () => false },
    parting: { thin: async () => {} },
    presence: everybodyHere,
    targets: [{ kind: 'mdns' }],
    resolver: systemResolver,
    file: join(folder, String(at)),
    report: () => {},
    now: Date.now,
    random: Math.random,
  }),
);
const met = Promise.withResolvers<void>();
for (const node of nodes) node.addEventListener('peer:connect', () => met.resolve());
await met.promise;
for (const joining of joinings) await joining[Symbol.asyncDispose]();
for (const node of nodes) await node.stop();
