const CONTAINERD = '/etc/containerd/certs.d/_default';

/** What an operator does next, one line per runtime, each fit to be copied. */
export function nextSteps(endpoint: string, program: string): readonly string[] {
  const url = `http://${endpoint}`;
  const hosts = String.raw`[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`;
  const mirror = String.raw`[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${endpoint}/docker.io"\ninsecure = true\n`;
  return [
    `docker      put "registry-mirrors": ["${url}"] into /etc/docker/daemon.json, then: systemctl reload docker`,
    `containerd  mkdir -p ${CONTAINERD}; printf '${hosts}' > ${CONTAINERD}/hosts.toml`,
    `podman      printf '${mirror}' > /etc/containers/registries.conf.d/drayage.conf`,
    `check       ${program} doctor`,
  ];
}
