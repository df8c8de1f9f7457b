import { readFile } from 'node:fs/promises';
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import { getCACertificates } from 'node:tls';
import { describe } from '@drayage/core';
import type { OriginConfig } from '../origin-config.ts';
import { pullAs } from '../setup/canary.ts';
import type { Dialect } from '../setup/steps.ts';
import type { KnownImage } from './credential.ts';
import type { Finding } from './finding.ts';

const ANSWER_MS = 5000;
const CLOCK_SKEW_MS_MAX = 60_000;

interface Answer {
  readonly status: number;
  readonly date: number | undefined;
}

/** Asks the registry endpoint what every runtime asks first, and then, in the words of each, for an image it knows. */
export async function checkEndpoint(endpoint: string, known: KnownImage | undefined): Promise<readonly Finding[]> {
  const about = 'endpoint';
  const url = `http://${endpoint}/v2/`;
  try {
    const { status } = await ask(url);
    if (status !== 200 && status !== 401) {
      const advice = 'something else may listen there; give the agent another --listen address';
      return [{ about, state: 'bad', finding: `${url} answers with status ${status}`, advice }];
    }
  } catch (error) {
    const advice = 'start the agent, or name its --listen address';
    return [{ about, state: 'bad', finding: `${url} does not answer: ${describe(error)}`, advice }];
  }
  const answers: Finding = { about, state: 'good', finding: `${url} answers` };
  return known ? [answers, await checkDialects(endpoint, known)] : [answers];
}

/** An image may be gone or private by now, so that it cannot be had is only a warning. */
async function checkDialects(endpoint: string, { repository, tag }: KnownImage): Promise<Finding> {
  const about = 'endpoint';
  const image = `${repository}:${tag}`;
  const dialects: readonly Dialect[] = repository.startsWith('docker.io/')
    ? ['ns', 'prefix', 'default']
    : ['ns', 'prefix'];
  for (const dialect of dialects) {
    try {
      await pullAs(dialect, image, endpoint);
    } catch (error) {
      const asked = { ns: 'containerd', prefix: 'podman', default: 'dockerd' }[dialect];
      const finding = `${image} cannot be had in the words of ${asked}: ${describe(error)}`;
      return { about, state: 'warning', finding, advice: `drayage explain ${image}` };
    }
  }
  return { about, state: 'good', finding: `it gives ${image} in the words of every runtime` };
}

/** Asks every origin, and compares its clock with ours: certificates and tokens depend on it. */
export async function checkOrigins(origins: readonly OriginConfig[]): Promise<readonly Finding[]> {
  const results = await Promise.all(origins.map((origin) => checkOrigin(origin)));
  const skews = results.flatMap(({ skewMs }) => (skewMs === undefined ? [] : [skewMs]));
  return [...results.map(({ finding }) => finding), ...clockFinding(skews)];
}

interface OriginResult {
  readonly finding: Finding;
  readonly skewMs: number | undefined;
}

async function checkOrigin({ name, url, caFile, rules }: OriginConfig): Promise<OriginResult> {
  const about = `origin ${name}`;
  if (rules.access === 'bypass')
    return { finding: { about, state: 'good', finding: 'is bypassed' }, skewMs: undefined };
  try {
    const { status, date } = await ask(`${url}/v2/`, caFile);
    const skewMs = date === undefined ? undefined : Math.abs(Date.now() - date);
    // 401 is how most registries greet those who have not said who they are.
    if (status < 500 && status !== 404) return { finding: { about, state: 'good', finding: `${url} answers` }, skewMs };
    const advice = 'check that the URL is that of a registry';
    return {
      finding: { about, state: 'warning', finding: `${url}/v2/ answers with status ${status}`, advice },
      skewMs,
    };
  } catch (error) {
    const advice = 'check name resolution, the route and the firewall; what is in the store is served all the same';
    return {
      finding: { about, state: 'warning', finding: `${url} cannot be reached: ${describe(error)}`, advice },
      skewMs: undefined,
    };
  }
}

function clockFinding(skews: readonly number[]): readonly Finding[] {
  if (skews.length === 0) return [];
  // One origin with a wrong clock says nothing about ours.
  const skewMs = Math.min(...skews);
  if (skewMs <= CLOCK_SKEW_MS_MAX) return [{ about: 'clock', state: 'good', finding: 'agrees with the origins' }];
  const finding = `differs from the origins by ${Math.round(skewMs / 1000)} s`;
  return [{ about: 'clock', state: 'warning', finding, advice: 'set the clock (timedatectl set-ntp true)' }];
}

async function ask(url: string, caFile?: string): Promise<Answer> {
  const ca = caFile === undefined ? undefined : await authorities(caFile);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const request = url.startsWith('https:') ? requestSecure : requestPlain;
    const asked = request(url, { signal, agent: false, ...(ca && { ca }) }, resolve);
    asked.once('error', (error) =>
      reject(signal.aborted ? new Error('no answer within 5 s', { cause: error }) : error),
    );
    asked.end();
  });
  response.destroy();
  const date = Date.parse(response.headers.date ?? '');
  return { status: response.statusCode ?? 0, date: Number.isNaN(date) ? undefined : date };
}

async function authorities(caFile: string): Promise<string[]> {
  return [...getCACertificates(), await readFile(caFile, 'utf8')];
}
