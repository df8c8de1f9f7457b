import { describe, Failure, isFailure } from '@drayage/core';
import { formatAddress, localUrl, reachable } from '../address.ts';
import { clientOf } from '../admin-client.ts';
import { type Call, EXIT } from '../command.ts';
import { type Config, readConfig } from '../config.ts';
import { checkDisk } from '../doctor/disk.ts';
import { type Finding, formatFindings } from '../doctor/finding.ts';
import { checkEndpoint, checkOrigins } from '../doctor/network.ts';
import { checkRuntimes } from '../doctor/runtimes.ts';
import { sourcesOf } from '../sources.ts';

/** Checks all that a pull depends on, and says in words what to do. Exits 3 when no agent answers, 1 when something is broken. */
export async function doctor(call: Call): Promise<number> {
  const { out } = call.around;
  const config = await readConfig(sourcesOf(call));
  const agent = await checkAgent(config);
  const [listen] = config.listen;
  const endpoint = listen ? formatAddress({ host: reachable(listen.host), port: listen.port }) : '';
  const findings = [
    ...agent,
    await checkEndpoint(endpoint),
    ...(await checkOrigins(config.origins)),
    ...(await checkDisk(config.data)),
    ...(await checkRuntimes('/', endpoint)),
  ];
  if (call.isJson) out.write(`${JSON.stringify({ findings })}\n`);
  else out.write(formatFindings(findings, out));
  if (agent.some(({ state }) => state === 'bad')) return EXIT.unanswered;
  return findings.some(({ state }) => state === 'bad') ? EXIT.failed : EXIT.done;
}

async function checkAgent({ admin }: Config): Promise<readonly Finding[]> {
  const about = 'agent';
  const client = clientOf(admin);
  try {
    const { version } = await client.get<{ version: string }>('/api/status');
    const ready = await client.ask('/readyz?verbose');
    const answers: Finding = { about, state: 'good', finding: `version ${version} answers on ${localUrl(admin)}` };
    if (ready.status === 200) return [answers, { about, state: 'good', finding: 'it is ready' }];
    const finding = `it is not ready: ${ready.text.trim().replaceAll('\n', '; ')}`;
    return [answers, { about, state: 'warning', finding, advice: 'see the lines marked [-]' }];
  } catch (error) {
    if (!isFailure(error)) throw new Failure('agent_unreachable', describe(error), { cause: error });
    const advice = 'start it: drayage agent (or: npm start); if it runs elsewhere, name its --admin address';
    return [{ about, state: 'bad', finding: describe(error), advice }];
  }
}
