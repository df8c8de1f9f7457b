import { resolve } from 'node:path';
import { Failure } from '@drayage/core';
import { formatAddress, nearest } from '../address.ts';
import { type AdminClient, clientOf } from '../admin-client.ts';
import type { AgentStatus } from '../agent-status.ts';
import { type Call, EXIT } from '../command.ts';
import { type Config, readConfig } from '../config.ts';
import { type Finding, formatFindings } from '../doctor/finding.ts';
import { checkProxy } from '../doctor/proxy.ts';
import { proxyOf } from '../open-proxy.ts';
import { apply, type Change, changesFor, originalFiles, undo, undoing } from '../setup/apply.ts';
import { canaryImage, tryCanary } from '../setup/canary.ts';
import { unifiedDiff } from '../setup/diff.ts';
import { hostOf } from '../setup/host.ts';
import { type HostFiles, hostFiles } from '../setup/host-files.ts';
import { readRecord } from '../setup/record.ts';
import { refused } from '../setup/refusal.ts';
import { isInstalled, RUNTIMES } from '../setup/runtimes.ts';
import type { Runtime, Target } from '../setup/steps.ts';
import { sourcesOf } from '../sources.ts';

const ON_TAGS = 'a tag is looked up at its origin each time; only what is asked for by digest comes from elsewhere';

/** What one run came to. */
interface Result {
  readonly changes: readonly Change[];
  readonly findings: readonly Finding[];
}

/** Points a runtime at the agent, or undoes that. */
export async function setup(call: Call): Promise<number> {
  const { arguments: given, around, isJson } = call;
  const [name = ''] = given.positionals;
  const config = await readConfig(sourcesOf(call));
  const runtime = RUNTIMES.find((candidate) => candidate.name === name);
  if (!runtime)
    throw new Failure('options_invalid', `there is no "${name.slice(0, 64)}": docker, containerd or podman`);
  const files = hostFiles(resolve(given.values.get('root')?.at(-1) ?? '/'));
  const isDry = given.values.has('dry-run');
  const { changes, findings } = given.values.has('undo')
    ? await takeBack(runtime, files, isDry)
    : await putInPlace({ runtime, files, isDry, config, call });
  const { out } = around;
  const shown = changes.map((change) => ({ ...change, diff: unifiedDiff(change.path, change.before, change.after) }));
  if (isJson) {
    const told = shown.map(({ path, before, after, diff }) => ({ path, action: actionOf(before, after), diff }));
    out.write(`${JSON.stringify({ runtime: name, isDryRun: isDry, changes: told, findings })}\n`);
  } else {
    if (isDry) out.write(shown.map(({ diff }) => diff).join(''));
    else out.write(changes.map(({ path, before, after }) => `${actionOf(before, after)} ${path}\n`).join(''));
    if (changes.length === 0) out.write('nothing to change\n');
    out.write(formatFindings(findings, out));
  }
  return findings.some(({ state }) => state === 'bad') ? EXIT.failed : EXIT.done;
}

function actionOf(before: string | undefined, after: string | undefined): string {
  if (after === undefined) return 'removed';
  return before === undefined ? 'made' : 'changed';
}

interface Task {
  readonly runtime: Runtime;
  readonly files: HostFiles;
  readonly isDry: boolean;
  readonly config: Config;
  readonly call: Call;
}

async function putInPlace({ runtime, files, isDry, config, call }: Task): Promise<Result> {
  if (!(await isInstalled(runtime, files))) {
    const where =
      files.root === '/' ? 'on this host' : `below ${files.root}: neither its programs nor ${runtime.folder}`;
    throw refused(`${runtime.name} is not ${where}`);
  }
  const isOffline = call.arguments.values.has('offline');
  const client = isOffline ? undefined : clientOf(config.admin);
  const target = withProxy(client ? await askTarget(client) : await targetOf(config), runtime, call);
  const record = await readRecord(files, runtime.folder);
  const host = hostOf(files);
  const plan = await runtime.plan(target, { ...host, files: originalFiles(files, record) });
  const changes = await changesFor(files, plan.edits, record);
  const planned: readonly Finding[] = [...plan.findings, { about: runtime.name, state: 'good', finding: ON_TAGS }];
  if (isDry) return { changes, findings: planned };
  if (changes.length > 0) await apply(files, runtime.folder, target, changes);
  const changed = changes.map(({ path }) => path);
  const active = await runtime.activate(target, changed, host);
  const findings = [...planned, ...active, ...(client && target.proxy ? [await checkProxy(target.proxy)] : [])];
  if (!client) {
    const finding = 'nothing was pulled to check it, as no agent was asked';
    return { changes, findings: [...findings, { about: 'canary', state: 'good', finding }] };
  }
  const image = await canaryImage(call.arguments.values.get('canary')?.at(-1), runtime, target, client);
  if (image !== undefined) {
    return { changes, findings: [...findings, ...(await tryCanary(image, runtime, { target, host, client }))] };
  }
  const finding = 'the agent has resolved no image yet to check it with';
  return {
    changes,
    findings: [...findings, { about: 'canary', state: 'good', finding, advice: 'name one with --canary IMAGE' }],
  };
}

/** Where the running agent listens, and what it serves. Throws `agent_unreachable` when none answers. */
async function askTarget(client: AdminClient): Promise<Target> {
  const { addresses, origins, proxy } = await client.get<AgentStatus>('/api/status');
  return { endpoint: nearest(addresses.endpoint), origins: origins.map(({ name }) => name), proxy: proxy ?? undefined };
}

async function targetOf(config: Config): Promise<Target> {
  const { listen, origins } = config;
  const served = origins.filter(({ rules }) => rules.access !== 'bypass').map(({ name }) => name);
  return { endpoint: nearest(listen.map(formatAddress)), origins: served, proxy: await proxyOf(config) };
}

/** The proxy is used only where that was said. */
function withProxy(target: Target, { name }: Runtime, { arguments: { values } }: Call): Target {
  if (!values.has('proxy')) return { ...target, proxy: undefined };
  if (name !== 'docker') throw new Failure('options_invalid', `${name} needs no proxy: --proxy is for docker`);
  if (target.proxy) return target;
  throw refused('the agent has no proxy yet: start it once with --proxy-listen 127.0.0.1:5054, then run this again');
}

async function takeBack(runtime: Runtime, files: HostFiles, isDry: boolean): Promise<Result> {
  const about = runtime.name;
  const record = await readRecord(files, runtime.folder);
  if (!record) return { changes: [], findings: [{ about, state: 'good', finding: 'setup has nothing in place here' }] };
  const { changes, kept } = await undoing(files, record);
  const findings = kept.map((path): Finding => {
    return {
      about,
      state: 'good',
      finding: `${path} stays as it is: it was changed since, and no longer leads to the agent`,
    };
  });
  if (isDry) return { changes, findings };
  await undo(files, runtime.folder, record);
  const target = { endpoint: record.endpoint, origins: [] };
  const changed = changes.map(({ path }) => path);
  return { changes, findings: [...findings, ...(await runtime.activate(target, changed, hostOf(files)))] };
}
