/** Drives real runtimes through one agent: `npm run test:system`, or with the names of the scenarios to run. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeAuthority } from './lab/certificates.ts';
import { pushFixtures } from './lab/fixtures.ts';
import { enterNamespace, labFolder } from './lab/namespace.ts';
import { startOrigin } from './lab/origin.ts';
import { within } from './lab/process.ts';
import { ALL_PACKAGES, whatIsMissing } from './lab/programs.ts';
import { conclude, type Outcome, printOutcome } from './lab/report.ts';
import { logsBelow, onStage } from './lab/stage.ts';
import { clientScenarios } from './system/clients.ts';
import { containerdScenarios } from './system/containerd.ts';
import { dockerScenarios } from './system/docker.ts';
import { headerScenarios } from './system/headers.ts';
import { podmanScenarios } from './system/podman.ts';
import { privateScenarios } from './system/private.ts';
import { proxyScenarios } from './system/proxy.ts';
import { pushScenarios } from './system/push.ts';
import { roadScenarios } from './system/road.ts';
import type { Scenario, Stage } from './system/scenario.ts';

const BASICS = ['docker-registry', 'openssl', 'ip', 'busybox', 'iptables'];

const SCENARIOS: readonly Scenario[] = [
  ...headerScenarios,
  ...dockerScenarios,
  ...containerdScenarios,
  ...podmanScenarios,
  ...roadScenarios,
  ...proxyScenarios,
  ...privateScenarios,
  ...pushScenarios,
  ...clientScenarios,
];

enterNamespace(ALL_PACKAGES);
process.exitCode = await main(process.argv.slice(2));

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
  if (unknown.length > 0) {
    console.error(`no such scenario: ${unknown.join(', ')}. There are: ${SCENARIOS.map(({ name }) => name).join(' ')}`);
    return 2;
  }
  const chosen = SCENARIOS.filter(({ name }) => names.length === 0 || names.includes(name));
  const missing = whatIsMissing(BASICS);
  if (missing !== undefined) {
    return conclude(
      'system',
      chosen.map((scenario) => told(scenario, unable(scenario, missing))),
    );
  }
  const folder = join(labFolder(), 'system');
  mkdirSync(join(folder, 'tls'), { recursive: true });
  const authority = await makeAuthority(join(folder, 'tls'), [
    'registry-1.docker.io',
    'registry.example.com',
    'auth.example.com',
  ]);
  await using origin = await startOrigin(join(folder, 'origin'), authority);
  const images = await pushFixtures(origin.direct);
  const outcomes: Outcome[] = [];
  for (const scenario of chosen) {
    const stage = { folder: join(folder, scenario.name), origin, images, authority };
    outcomes.push(told(scenario, await outcomeOf(scenario, stage)));
  }
  return conclude('system', outcomes);
}

async function outcomeOf(scenario: Scenario, stage: Stage): Promise<Outcome> {
  const missing = whatIsMissing(scenario.needs);
  if (missing !== undefined) return unable(scenario, missing);
  const { name, title, boundSeconds } = scenario;
  const from = performance.now();
  const seconds = () => (performance.now() - from) / 1000;
  await stage.origin.front.reset();
  let note: string | undefined;
  const attempt = async () => {
    try {
      await within(title, boundSeconds * 1000, scenario.run(stage));
    } catch (error) {
      note = `${error instanceof Error ? error.stack : error}\n${logsBelow(stage.folder)}`;
      throw error;
    }
  };
  try {
    await onStage(stage.folder, attempt);
    return { name, result: 'ok', seconds: seconds() };
  } catch (error) {
    return { name, result: 'FAIL', seconds: seconds(), note: note ?? String(error) };
  }
}

/** A missing program is a failure where everything was meant to be installed, and a skipped scenario elsewhere. */
function unable({ name }: Scenario, missing: string): Outcome {
  return { name, result: process.env['CI'] ? 'FAIL' : 'skip', seconds: 0, note: missing };
}

function told(scenario: Scenario, outcome: Outcome): Outcome {
  printOutcome(outcome, scenario.title);
  return outcome;
}
