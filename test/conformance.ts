/**
 * The OCI distribution specification 1.1, asked of the agent in front of a docker-registry, in each of the three ways
 * clients name a registry: `npm run conformance`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ask, type Check, checksFor } from './conformance/checks.ts';
import { pushContent, REPOSITORY } from './conformance/content.ts';
import { PUSH_CHECKS } from './conformance/push-checks.ts';
import { startAgent } from './lab/agent.ts';
import { makeAuthority } from './lab/certificates.ts';
import { enterNamespace, labFolder } from './lab/namespace.ts';
import { startOrigin } from './lab/origin.ts';
import { ALL_PACKAGES, whatIsMissing } from './lab/programs.ts';
import { conclude, type Outcome } from './lab/report.ts';

const NAME_CHARS = 84;
const OPEN = { push: true };

enterNamespace(ALL_PACKAGES);
process.exitCode = await main();

async function main(): Promise<number> {
  const missing = whatIsMissing(['docker-registry', 'openssl']);
  if (missing !== undefined) {
    console.log(missing);
    return conclude('conformance', [{ name: 'all', result: process.env['CI'] ? 'FAIL' : 'skip', seconds: 0 }]);
  }
  const folder = join(labFolder(), 'conformance');
  mkdirSync(folder, { recursive: true });
  await using origin = await startOrigin(join(folder, 'origin'), await makeAuthority(folder, ['registry.example.com']));
  const content = await pushContent(origin.direct);
  const config = join(folder, 'push.yaml');
  writeFileSync(config, JSON.stringify({ origins: { 'docker.io': OPEN, 'registry.example.com': OPEN } }));
  const more = ['--config', config];
  await using agent = await startAgent({ folder: join(folder, 'agent'), originUrl: origin.url, more });
  const asks: Record<string, Ask> = {
    mirror: asking(`${agent.url}/v2`, ''),
    ns: asking(`${agent.url}/v2`, 'ns=registry.example.com'),
    path: asking(`${agent.url}/v2/registry.example.com`, ''),
  };
  const direct = asking(`${origin.direct}/v2`, '');
  const judge = (check: Check, way: string, ask: Ask) =>
    outcomeOf(`${way}: ${check.name}`, () => check.run(ask, content, direct));
  console.log(`${'check'.padEnd(NAME_CHARS)} origin ${Object.keys(asks).join(' ')}`);
  const outcomes: Outcome[] = [];
  for (const check of [...checksFor(content), ...PUSH_CHECKS]) {
    const able = await judge(check, 'origin', direct);
    const row: Outcome[] = [];
    for (const [way, ask] of Object.entries(asks)) row.push(await judge(check, way, ask));
    // What the origin itself cannot do shows nothing about the agent, unless the agent does it anyway.
    const judged = able.result === 'ok' ? row : row.map((one) => (one.result === 'ok' ? one : skipped(one)));
    const cells = [able, ...judged].map(({ result }) => result.padEnd(5));
    console.log(`${`${check.group}: ${check.name}`.padEnd(NAME_CHARS)} ${cells.join(' ')}`);
    for (const { result, name, note } of judged) if (result === 'FAIL') console.log(`  ${name}: ${note}`);
    outcomes.push(...judged);
  }
  return conclude('conformance', outcomes);
}

async function outcomeOf(name: string, run: () => Promise<void>): Promise<Outcome> {
  const from = performance.now();
  const seconds = () => (performance.now() - from) / 1000;
  try {
    await run();
    return { name, result: 'ok', seconds: seconds() };
  } catch (error) {
    return { name, result: 'FAIL', seconds: seconds(), note: error instanceof Error ? error.message : String(error) };
  }
}

function skipped(outcome: Outcome): Outcome {
  return { ...outcome, result: 'skip' };
}

function asking(base: string, query: string): Ask {
  return (path, init, repository = REPOSITORY) => {
    const glue = path.includes('?') ? '&' : '?';
    return fetch(`${base}/${repository}/${path}${query === '' ? '' : glue}${query}`, { redirect: 'manual', ...init });
  };
}
