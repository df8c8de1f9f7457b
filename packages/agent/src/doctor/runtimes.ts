import { describe, isFailure } from '@drayage/core';
import { hostOf } from '../setup/host.ts';
import type { HostFiles } from '../setup/host-files.ts';
import { isInstalled, RUNTIMES } from '../setup/runtimes.ts';
import type { Host, Runtime, Target } from '../setup/steps.ts';
import type { Finding } from './finding.ts';

/** Looks whether the runtimes of this host pull through the agent: what setup would change is what is wrong. */
export async function checkRuntimes(files: HostFiles, target: Target): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const runtime of RUNTIMES) {
    if (await isInstalled(runtime, files)) findings.push(...(await checkRuntime(runtime, target, hostOf(files))));
  }
  if (findings.length > 0) return findings;
  return [{ about: 'runtimes', state: 'warning', finding: 'neither docker, containerd nor podman is installed here' }];
}

async function checkRuntime(runtime: Runtime, target: Target, host: Host): Promise<readonly Finding[]> {
  const { name: about } = runtime;
  try {
    const { edits, findings } = await runtime.plan(target, host);
    const missing: string[] = [];
    let elsewhere: string | undefined;
    for (const { path, text } of edits) {
      const now = await host.files.read(path);
      if (now === text) continue;
      missing.push(path);
      elsewhere ??= otherAgent(now ?? '', target.endpoint);
    }
    const told = findings.filter(({ state }, at) => at === 0 || state !== 'good');
    if (missing.length === 0) {
      const good: Finding = { about, state: 'good', finding: 'its configuration points at the agent' };
      return [...told, good, ...(await runtime.observe(target, host))];
    }
    const why = elsewhere === undefined ? '' : `; it names ${elsewhere}, and the agent is at ${target.endpoint}`;
    const finding = `it does not pull through the agent, or not all of it: ${missing.join(', ')}${why}`;
    const advice = `drayage setup ${about} (with --dry-run, it only shows what it would change)`;
    return [...told, { about, state: 'warning', finding, advice }];
  } catch (error) {
    if (!isFailure(error)) throw error;
    return [{ about, state: 'warning', finding: describe(error), advice: 'when that is done: drayage doctor' }];
  }
}

/** Another port of this machine that the file speaks of. */
function otherAgent(text: string, endpoint: string): string | undefined {
  const lines = text.split('\n').filter((line) => !/^\s*#/.test(line));
  const found = lines.flatMap((line) => line.match(/(?:127\.0\.0\.1|localhost|\[::1\]):\d+/g) ?? []);
  return found.find((address) => address.split(':').at(-1) !== endpoint.split(':').at(-1));
}
