import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Docker } from './docker.ts';

/** Of what a service says, what compose.yaml uses. */
interface Service {
  readonly image: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly network_mode?: string;
  readonly networks?: { readonly default: { readonly aliases: readonly string[] } };
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

const NETWORK = 'compose';

/**
 * Brings the services of a compose file, or some of them, up in the order that they stand in, by plain docker commands: Debian's docker
 * has no compose. Returns their names; a service that another waits for the end of is at its end, and none of them.
 */
export async function composeUp(
  docker: Docker,
  file: string,
  images: Readonly<Record<string, string>>,
  only?: readonly string[],
): Promise<readonly string[]> {
  const services: Readonly<Record<string, Service>> = parse(readFileSync(file, 'utf8'), { merge: true }).services;
  const conditions = Object.values(services).flatMap(({ depends_on: needs = {} }) => Object.entries(needs));
  const ends = (name: string) =>
    conditions.some(([needed, { condition }]) => needed === name && condition === 'service_completed_successfully');
  if ((await docker.docker(['network', 'inspect', NETWORK])).code !== 0) {
    await docker.mustDocker(['network', 'create', NETWORK]);
  }
  const up: string[] = [];
  for (const [name, service] of Object.entries(services)) {
    if (only && !only.includes(name)) continue;
    const image = images[service.image] ?? service.image;
    const [entry, ...rest] = service.entrypoint ?? [];
    const options = [...optionsOf(name, service), ...(entry === undefined ? [] : ['--entrypoint', entry])];
    const words = [image, ...rest, ...(service.command ?? [])];
    if (ends(name)) await docker.mustDocker(['run', '--rm', ...options, ...words]);
    else {
      await docker.mustDocker(['run', '-d', '--name', name, ...options, ...words]);
      up.push(name);
    }
  }
  return up;
}

/** Ends and removes what is up, at once; named volumes stay. */
export async function composeDown(docker: Docker, names: readonly string[]): Promise<void> {
  await docker.mustDocker(['rm', '-f', ...names]);
}

function optionsOf(name: string, service: Service): readonly string[] {
  const { environment = {}, ports = [], volumes = [], cap_drop: drops = [], security_opt: locks = [] } = service;
  const aliases = [name, ...(service.networks?.default.aliases ?? [])];
  const network = service.network_mode
    ? ['--network', service.network_mode]
    : ['--network', NETWORK, ...aliases.flatMap((alias) => ['--network-alias', alias])];
  return [
    ...network,
    ...(service.read_only ? ['--read-only'] : []),
    ...drops.flatMap((drop) => ['--cap-drop', drop]),
    ...locks.flatMap((lock) => ['--security-opt', lock]),
    ...Object.entries(environment).flatMap(([variable, value]) => ['-e', `${variable}=${value}`]),
    ...ports.flatMap((port) => ['-p', port]),
    ...volumes.flatMap((volume) => ['-v', volume]),
  ];
}
