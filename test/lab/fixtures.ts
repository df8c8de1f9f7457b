import { type Artifact, busyboxLayer, image, index, type Layer, MIB, noiseLayer, push, single } from './images.ts';

/** Images that scenarios pull. */
export interface Fixtures {
  /** Six layers, ten mebibytes. */
  readonly small: Artifact;
  /** Two platforms in a Docker manifest list. */
  readonly list: Artifact;
  /** Two platforms in an OCI index. */
  readonly ociIndex: Artifact;
  /** A layer of forty mebibytes. */
  readonly big: Artifact;
  /** Twelve layers, one of two hundred mebibytes, in an OCI index of two platforms. */
  readonly twelve: Artifact;
}

const MANY_LAYERS_MIB = [1, 1, 1, 2, 1, 1, 3, 1, 1, 1];
const HUGE_LAYER_MIB = 200;

/** Makes the images, and puts them into the origin: `library/<name>:1` and `team/<name>:1`. */
export async function pushFixtures(registry: string): Promise<Fixtures> {
  const busybox = busyboxLayer();
  const layers = (name: string, sizes: readonly number[]): Layer[] =>
    sizes.map((size, at) => noiseLayer(`${name}-${at}`, size * MIB));
  const two = (name: string, dialect: 'docker' | 'oci') =>
    index(
      [
        image([busybox, ...layers(`${name}-amd64`, [1])], dialect),
        image([busybox, ...layers(`${name}-arm64`, [1])], dialect, 'arm64'),
      ],
      dialect,
    );
  const many = [busybox, ...layers('twelve', MANY_LAYERS_MIB), ...layers('twelve-huge', [HUGE_LAYER_MIB])];
  const fixtures: Fixtures = {
    small: single(image([busybox, ...layers('small', [2, 3, 1, 1, 1])], 'docker')),
    list: two('list', 'docker'),
    ociIndex: two('oci', 'oci'),
    big: single(image([busybox, ...layers('big', [40])], 'docker')),
    twelve: index([image(many, 'oci'), image([busybox, ...layers('twelve-arm64', [1])], 'oci', 'arm64')], 'oci'),
  };
  const names = { small: 'small', list: 'list', ociIndex: 'oci-index', big: 'big', twelve: 'twelve' };
  for (const [key, name] of Object.entries(names)) {
    for (const team of ['library', 'team']) {
      if (team === 'team' && name === 'twelve') continue;
      await push(registry, `${team}/${name}`, '1', fixtures[key as keyof Fixtures]);
    }
  }
  return fixtures;
}
