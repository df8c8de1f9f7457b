import { type Digest, Failure, isTag, matches, parseDigest, type Report, sha256 } from '@drayage/core';
import { contentLength, discard, headerOf, readWhole } from './answer.ts';
import type { Asker } from './asker.ts';
import type { Answer } from './line.ts';
import { checkManifest, MANIFEST_TYPES } from './manifest.ts';
import type { Manifest, ManifestHead } from './types.ts';

const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
const ACCEPT_CHARS_MAX = 4096;

/** The two questions about a manifest; its reference is a tag or a digest. */
interface ManifestFetch {
  head(reference: string, signal: AbortSignal): Promise<ManifestHead | undefined>;
  get(reference: string, accept: string | undefined, signal: AbortSignal): Promise<Manifest | undefined>;
}

/** Fetches manifests that are what they claim to be, or throws `blob_corrupt` or `manifest_invalid`. */
export function manifestFetchOf({ origin, ask }: Asker, report: Report): ManifestFetch {
  function corrupt(digest: Digest, detail: string): Failure {
    report({ kind: 'corrupt', where: 'origin', digest, detail });
    return new Failure('blob_corrupt', `${origin} sent a manifest that is not ${digest}: ${detail}`);
  }

  function claimedDigest(answer: Answer, reference: string): Digest | undefined {
    const claimed = parseDigest(headerOf(answer, 'docker-content-digest') ?? '');
    const asked = parseDigest(reference);
    if (asked && claimed && asked !== claimed) throw corrupt(asked, 'it was sent under another digest');
    return claimed ?? asked;
  }

  return {
    async head(reference, signal) {
      const headers = { accept: MANIFEST_TYPES.join(', ') };
      const answer = await ask({ what: whatOf(reference), method: 'HEAD', headers, allows: [405] }, signal);
      if (!answer) return undefined;
      await discard(answer);
      // Some registries know no HEAD here: nothing is known then, and whoever needs it asks for the manifest.
      if (answer.status === 405) return { digest: undefined, mediaType: undefined, size: undefined };
      const mediaType = mediaTypeOf(answer);
      const size = contentLength(answer);
      return {
        digest: claimedDigest(answer, reference),
        mediaType: mediaType !== undefined && MANIFEST_TYPES.includes(mediaType) ? mediaType : undefined,
        size: size !== undefined && size <= MANIFEST_BYTES_MAX ? size : undefined,
      };
    },

    async get(reference, accept, signal) {
      const asked = acceptOf(accept);
      const answer = await ask({ what: whatOf(reference), headers: { accept: asked } }, signal);
      if (!answer) return undefined;
      const bytes = await readWhole(origin, answer, MANIFEST_BYTES_MAX);
      const claimed = claimedDigest(answer, reference);
      if (claimed && !matches(bytes, claimed)) throw corrupt(claimed, 'its bytes hash to something else');
      const mediaType = mediaTypeOf(answer);
      if (mediaType === undefined || !typesIn(asked).includes(mediaType)) {
        throw new Failure('manifest_invalid', `${origin} sent ${reference} as a type that was not asked for`);
      }
      checkManifest(bytes, mediaType);
      return { digest: parseDigest(reference) ?? sha256(bytes), mediaType, bytes };
    },
  };
}

function whatOf(reference: string): string {
  if (isTag(reference) || parseDigest(reference)) return `manifests/${reference}`;
  throw new Failure('digest_invalid', 'the reference is neither a tag nor a digest');
}

/** A short list makes some registries convert a manifest to an older type, with another digest. */
function acceptOf(wanted: string | undefined): string {
  const isSane = wanted !== undefined && wanted.length <= ACCEPT_CHARS_MAX && /^[\x20-\x7e]+$/.test(wanted);
  return isSane ? wanted : MANIFEST_TYPES.join(', ');
}

function typesIn(accept: string): readonly string[] {
  return [...MANIFEST_TYPES, ...accept.split(',').map((item) => item.replace(/;.*$/, '').trim())];
}

function mediaTypeOf(answer: Answer): string | undefined {
  return headerOf(answer, 'content-type')?.replace(/;.*$/, '').trim();
}
