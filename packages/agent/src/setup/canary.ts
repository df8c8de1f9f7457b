import { type Digest, describe, Failure, parseDigest, parseReference, sha256 } from '@drayage/core';
import { MANIFEST_TYPES } from '@drayage/registry';
import type { AdminClient } from '../admin-client.ts';
import type { Finding } from '../doctor/finding.ts';
import { choose, ownPlatform, readIndex } from '../image.ts';
import type { Dialect, Host, Runtime, Target } from './steps.ts';

const HELLO_WORLD = 'docker.io/library/hello-world:latest';
const ANSWER_WAIT_MS = 30_000;
const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
const BLOB_BYTES_MAX = 64 * 1024 * 1024;

/** The image to try with: the one that was named, else the last that this agent resolved, else the smallest there is. */
export async function canaryImage(
  named: string | undefined,
  { dialect }: Runtime,
  { origins }: Target,
  client: AdminClient,
): Promise<string | undefined> {
  if (named !== undefined) return named;
  const { images } = await client.get<{ images: readonly { repository: string; tag: string }[] }>('/api/images');
  const known = images.find(({ repository }) => dialect !== 'default' || repository.startsWith('docker.io/'));
  if (known) return `${known.repository}:${known.tag}`;
  return origins.includes('docker.io') ? HELLO_WORLD : undefined;
}

/** Pulls an image through the agent in the words of the runtime, then has the runtime itself do so, and tells what came of it. */
export async function tryCanary(
  image: string,
  runtime: Runtime,
  { target, host, client }: { readonly target: Target; readonly host: Host; readonly client: AdminClient },
): Promise<readonly Finding[]> {
  const about = 'canary';
  let digest: Digest;
  try {
    digest = await pullAs(runtime.dialect, image, target.endpoint);
  } catch (error) {
    const finding = `${image} cannot be had through the agent: ${describe(error)}`;
    const advice =
      'the files are as they should be; drayage doctor says how the agent and its origins are, --canary IMAGE tries another image';
    return [{ about, state: 'warning', finding, advice }];
  }
  const asked = { default: 'as a mirror', ns: 'with ns=', prefix: 'by path' }[runtime.dialect];
  const good: Finding = {
    about,
    state: 'good',
    finding: `the agent gives ${image} when asked ${asked}, and it is sound`,
  };
  const { repository } = parseReference(image, 'docker.io');
  const before = await requestsOf(client);
  const isPulled = await runtime.pull(`${repository.origin}/${repository.path}@${digest}`, host);
  if (isPulled === undefined) {
    return [good, { about, state: 'good', finding: `${runtime.name} itself was not asked: it does not run here` }];
  }
  if (!isPulled) {
    const advice = `try it: pull ${image}`;
    return [good, { about, state: 'warning', finding: `${runtime.name} itself cannot pull it`, advice }];
  }
  if ((await requestsOf(client)) > before) {
    return [good, { about, state: 'good', finding: `${runtime.name} pulled it, and asked the agent` }];
  }
  const advice = `see what is said of ${runtime.name} above: it may have to be reloaded or restarted first`;
  return [good, { about, state: 'warning', finding: `${runtime.name} pulled it, but not through the agent`, advice }];
}

async function requestsOf(client: AdminClient): Promise<number> {
  const { text } = await client.ask('/metrics');
  const values = [...text.matchAll(/^drayage_requests_total\{[^}]*\} (\d+)/gm)].map(([, value]) => Number(value));
  return values.reduce((sum, value) => sum + value, 0);
}

/** Asks for the manifests, the configuration and the smallest layer of an image as a runtime would, and checks each. */
export async function pullAs(dialect: Dialect, image: string, endpoint: string): Promise<Digest> {
  const { repository, tag, digest } = parseReference(image, 'docker.io');
  const { origin, path } = repository;
  const name = dialect === 'prefix' ? `${origin.replace(':', '_')}/${path}` : path;
  const query = dialect === 'ns' ? `?ns=${encodeURIComponent(origin)}` : '';
  const fetchOf = async (what: string, bytesMax: number) => {
    const signal = AbortSignal.timeout(ANSWER_WAIT_MS);
    const headers = { accept: MANIFEST_TYPES.join(', ') };
    const answer = await fetch(`http://${endpoint}/v2/${name}/${what}${query}`, { headers, signal, redirect: 'error' });
    if (answer.status !== 200)
      throw new Failure('blob_unavailable', `${what} was answered with status ${answer.status}`);
    if (Number(answer.headers.get('content-length')) > bytesMax)
      throw new Failure('blob_unavailable', `${what} is too large`);
    return { bytes: Buffer.from(await answer.arrayBuffer()), mediaType: answer.headers.get('content-type') ?? '' };
  };
  const checked = async (what: string, wanted: Digest, bytesMax: number) => {
    const found = await fetchOf(what, bytesMax);
    if (wanted.startsWith('sha256:') && sha256(found.bytes) !== wanted)
      throw new Failure('blob_corrupt', `${what} has other bytes`);
    return found;
  };
  const top = digest
    ? await checked(`manifests/${digest}`, digest, MANIFEST_BYTES_MAX)
    : await fetchOf(`manifests/${tag}`, MANIFEST_BYTES_MAX);
  const topDigest = digest ?? sha256(top.bytes);
  const isIndex = /index|manifest\.list/.test(top.mediaType);
  const [own] = isIndex ? choose(readIndex(top.bytes), ownPlatform()) : [];
  if (isIndex && !own) throw new Failure('manifest_unknown', `${image} is not made for this machine`);
  const manifest = own ? await checked(`manifests/${own.digest}`, own.digest, MANIFEST_BYTES_MAX) : top;
  const { config, layers } = JSON.parse(manifest.bytes.toString()) as { config?: Sized; layers?: readonly Sized[] };
  const [smallest] = (layers ?? []).toSorted((one, other) => one.size - other.size);
  for (const blob of [config, smallest]) {
    const wanted = blob && parseDigest(blob.digest);
    if (wanted) await checked(`blobs/${wanted}`, wanted, BLOB_BYTES_MAX);
  }
  return topDigest;
}

interface Sized {
  readonly digest: string;
  readonly size: number;
}
