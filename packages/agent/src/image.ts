import { type Digest, Failure, parseDigest } from '@drayage/core';

/** Which of an index's images is meant: `linux/amd64`, `linux/arm64/v8`. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string | undefined;
}

/** A manifest named by an index, for one platform. */
export interface PlatformManifest {
  readonly digest: Digest;
  readonly platform: Platform | undefined;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', arm64: 'arm64', arm: 'arm' };
const PLATFORM = /^([a-z0-9]{1,32})\/([a-z0-9_]{1,32})(?:\/([a-z0-9.]{1,32}))?$/;
const MANIFESTS_MAX = 4096;

/** The platform of this machine, in the words of images. */
export function ownPlatform(): Platform {
  return { os: 'linux', architecture: ARCHITECTURES[process.arch] ?? process.arch, variant: undefined };
}

export function parsePlatform(text: string): Platform {
  const [, os, architecture, variant] = PLATFORM.exec(text) ?? [];
  if (os === undefined || architecture === undefined) {
    throw new Failure('options_invalid', 'the platform must be OS/ARCHITECTURE[/VARIANT], such as linux/amd64');
  }
  return { os, architecture, variant };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== undefined).join('/');
}

/** The manifests an index names. Throws `manifest_invalid` when it is none. */
export function readIndex(bytes: Uint8Array): readonly PlatformManifest[] {
  const document = parseJson(bytes);
  const manifests: unknown = document['manifests'];
  if (!Array.isArray(manifests) || manifests.length > MANIFESTS_MAX) {
    throw new Failure('manifest_invalid', 'the index has no list of manifests that could be read');
  }
  return manifests.flatMap((entry: unknown) => {
    const { digest, platform } = asObject(entry);
    const known = parseDigest(String(digest));
    return known ? [{ digest: known, platform: readPlatform(asObject(platform)) }] : [];
  });
}

/** The manifests that fit: the exact variant when one is asked for, else the first of the architecture. */
export function choose(manifests: readonly PlatformManifest[], wanted: Platform): readonly PlatformManifest[] {
  const fitting = manifests.filter(
    ({ platform }) => platform?.os === wanted.os && platform.architecture === wanted.architecture,
  );
  const exact = fitting.filter(({ platform }) => platform?.variant === wanted.variant);
  const chosen = exact[0] ?? (wanted.variant === undefined ? fitting[0] : undefined);
  return chosen ? [chosen] : [];
}

function readPlatform({ os, architecture, variant }: Readonly<Record<string, unknown>>): Platform | undefined {
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined;
  return { os, architecture, variant: typeof variant === 'string' ? variant : undefined };
}

function parseJson(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return asObject(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (error) {
    throw new Failure('manifest_invalid', 'the manifest is not JSON', { cause: error });
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
