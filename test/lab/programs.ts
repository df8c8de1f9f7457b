import { spawnSync } from 'node:child_process';

/** The Debian package of each program that the tests start. */
const PACKAGES: Readonly<Record<string, string>> = {
  buildah: 'buildah',
  busybox: 'busybox-static',
  containerd: 'containerd',
  ctr: 'containerd',
  curl: 'curl',
  docker: 'docker.io',
  dockerd: 'docker.io',
  'docker-registry': 'docker-registry',
  htpasswd: 'apache2-utils',
  ip: 'iproute2',
  iptables: 'iptables',
  nginx: 'nginx-light',
  openssl: 'openssl',
  podman: 'podman',
  runc: 'runc',
  skopeo: 'skopeo',
  strace: 'strace',
};

export const ALL_PACKAGES: string = [...new Set(Object.values(PACKAGES))].sort().join(' ');

/** Why these programs cannot be started here, and how to get them; undefined when they are all there. */
export function whatIsMissing(programs: readonly string[]): string | undefined {
  const missing = programs.filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  if (missing.length === 0) return undefined;
  const packages = new Set(missing.map((program) => PACKAGES[program] ?? program));
  return `needs ${missing.join(', ')}. Try: apt-get install -y ${[...packages].join(' ')}`;
}
