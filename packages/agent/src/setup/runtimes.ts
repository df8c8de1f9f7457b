import { containerd } from './containerd.ts';
import { docker } from './docker.ts';
import type { HostFiles } from './host-files.ts';
import { podman } from './podman.ts';
import type { Runtime } from './steps.ts';

/** Every runtime that can be pointed at an agent. */
export const RUNTIMES: readonly Runtime[] = [docker, containerd, podman];

/** Whether the runtime is on this host, as far as its programs or its folder show. */
export async function isInstalled({ programs, folder }: Runtime, files: HostFiles): Promise<boolean> {
  for (const program of programs) if (await files.exists(program)) return true;
  // Where only the configuration is mounted, its folder has to do.
  return files.root !== '/' && files.exists(folder);
}
