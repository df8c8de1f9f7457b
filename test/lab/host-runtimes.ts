import { join } from 'node:path';
import type { Client } from './client.ts';
import { startContainerd } from './containerd.ts';
import { startDocker } from './docker.ts';
import type { HostImage } from './host-origin.ts';
import type { Host } from './hosts.ts';
import { podmanOn } from './podman.ts';

/** No authority is trusted: whatever does not go through the agent fails. */
const NO_AUTHORITIES = '/dev/null';

const PROBLEM_CHARS_MAX = 400;

/** Real runtimes on the hosts, one each: dockerd, containerd and podman, as far as there are hosts. */
export async function startRuntimes(hosts: readonly Host[]): Promise<Runtimes> {
  await using stack = new AsyncDisposableStack();
  const [first, second, third] = hosts;
  const clients: Client[] = [];
  const inside = (host: Host) => host.port.inside;
  if (first) clients.push(stack.use(await startDocker(join(first.folder, 'docker'), NO_AUTHORITIES, inside(first))));
  if (second) {
    const containerd = await startContainerd(join(second.folder, 'containerd'), NO_AUTHORITIES, inside(second));
    clients.push(stack.use(containerd).ctr);
  }
  if (third) clients.push(podmanOn(inside(third), join(third.folder, 'podman'), NO_AUTHORITIES));
  const all = stack.move();
  return { clients, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

export interface Runtimes extends AsyncDisposable {
  readonly clients: readonly Client[];
}

/** Undefined when the client pulled the image and every byte is right; else what went wrong. */
export async function problemOf(client: Client, { repository, tag, config }: HostImage): Promise<string | undefined> {
  const reference = `docker.io/${repository}:${tag}`;
  try {
    await client.pull(reference);
    const held = await client.configDigest(reference);
    return held === config ? undefined : `${client.name} holds ${held}, not ${config}`;
  } catch (error) {
    // ctr says how far it is ten times a second; what went wrong stands at the end.
    return `${client.name}: ${String(error).trim().slice(-PROBLEM_CHARS_MAX)}`;
  }
}
