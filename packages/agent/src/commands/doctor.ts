import { describe, Failure, isFailure } from '@drayage/core';
import { formatAddress, localUrl, nearest } from '../address.ts';
import { type AdminClient, clientOf } from '../admin-client.ts';
import type { AgentStatus } from '../agent-status.ts';
import { type Call, EXIT } from '../command.ts';
import { readConfig } from '../config.ts';
import { checkBreakers, checkCredentials, type KnownImage } from '../doctor/credential.ts';
import { checkDisk } from '../doctor/disk.ts';
import { type Finding, formatFindings } from '../doctor/finding.ts';
import { checkEndpoint, checkOrigins } from '../doctor/network.ts';
import { checkProxy } from '../doctor/proxy.ts';
import { checkRuntimes } from '../doctor/runtimes.ts';
import { checkSwarm, type Seen } from '../doctor/swarm.ts';
import { hostFiles } from '../setup/host-files.ts';
import { sourcesOf } from '../sources.ts';
import { VERSION } from '../version.ts';

/** Checks all that a pull depends on, and says in words what to do. Exits 3 when no agent answers, 1 when something is broken. */
export async function doctor(call: Call): Promise<number> {
  const { out, home } = call.around;
  const config = await readConfig(sourcesOf(call));
  const client = clientOf(config.admin);
  const agent = await checkAgent(client);
  const { seen } = agent;
  const images = seen ? await knownImages(client) : [];
  const listens = seen?.status.addresses.endpoint ?? config.listen.map(formatAddress);
  const endpoint = nearest(listens);
  const served = config.origins.filter(({ rules }) => rules.access !== 'bypass').map(({ name }) => name);
  const origins = seen?.status.origins.map(({ name }) => name) ?? served;
  const findings = [
    ...(await checkRuntimes(hostFiles('/'), { endpoint, origins })),
    ...agent.findings,
    ...(await checkEndpoint(endpoint, images[0])),
    ...(seen?.status.proxy ? [await checkProxy(seen.status.proxy)] : []),
    ...(await checkOrigins(config.origins)),
    ...checkBreakers(seen?.status.origins ?? []),
    ...(await checkCredentials(config.origins, images, { home, version: VERSION })),
    ...(await checkSwarm(config, seen)),
    ...(await checkDisk(config.data)),
  ];
  if (call.isJson) out.write(`${JSON.stringify({ findings })}\n`);
  else out.write(formatFindings(findings, out));
  if (!seen) return EXIT.unanswered;
  return findings.some(({ state }) => state === 'bad') ? EXIT.failed : EXIT.done;
}

async function knownImages(client: AdminClient): Promise<readonly KnownImage[]> {
  return (await client.get<{ images: readonly KnownImage[] }>('/api/images')).images;
}

interface Agent {
  readonly findings: readonly Finding[];
  /** Undefined when none answers. */
  readonly seen: Seen<AgentStatus> | undefined;
}

async function checkAgent(client: AdminClient): Promise<Agent> {
  const about = 'agent';
  const { address } = client;
  try {
    const status = await client.get<AgentStatus>('/api/status');
    const { members } = await client.get<Pick<Seen, 'members'>>('/api/members');
    const seen = { status, members };
    const ready = await client.ask('/readyz?verbose');
    const answers: Finding = {
      about,
      state: 'good',
      finding: `version ${status.version} answers on ${localUrl(address)}`,
    };
    if (ready.status === 200) return { findings: [answers, { about, state: 'good', finding: 'it is ready' }], seen };
    const finding = `it is not ready: ${ready.text.trim().replaceAll('\n', '; ')}`;
    return { findings: [answers, { about, state: 'warning', finding, advice: 'see the lines marked [-]' }], seen };
  } catch (error) {
    if (!isFailure(error)) throw new Failure('agent_unreachable', describe(error), { cause: error });
    const advice = 'start it: drayage agent (or: npm start); if it runs elsewhere, name its --admin address';
    return { findings: [{ about, state: 'bad', finding: describe(error), advice }], seen: undefined };
  }
}
