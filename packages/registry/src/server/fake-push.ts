import { sha256 } from '@drayage/core';
import type { Push, Pushed } from '../origin/types.ts';
import type { FakeOrigin } from './fake-parts.ts';

/** Takes uploads as a registry does, at addresses of its own. */
export async function pushedTo(origin: FakeOrigin, path: string, push: Push): Promise<Pushed> {
  const { pathname, searchParams } = push.to instanceof URL ? push.to : new URL(push.to, 'http://origin.test/');
  const chunks: Uint8Array[] = Buffer.isBuffer(push.body) ? [push.body] : await Array.fromAsync(push.body ?? []);
  const bytes = Buffer.concat(chunks);
  const said = (status: number, more: Partial<Pushed> = {}): Pushed => ({ ...SAYS_NOTHING, status, ...more });
  if (origin.refusesPush) return origin.refusesPush;
  if (pathname.startsWith('/manifests/')) {
    const mediaType = push.headers?.['content-type'] ?? '';
    for (const reference of [pathname.slice(11), sha256(bytes)]) {
      origin.manifests.set(`${path} ${reference}`, { mediaType, bytes });
    }
    return said(201, { digest: sha256(bytes) });
  }
  const mounted = origin.blobs.get(`${searchParams.get('from')} ${searchParams.get('mount')}`);
  if (push.method === 'POST' && mounted) {
    origin.blobs.set(`${path} ${searchParams.get('mount')}`, mounted);
    return said(201);
  }
  const upload = push.method === 'POST' ? `/upload/${origin.uploads.size}` : pathname;
  const all = Buffer.concat([origin.uploads.get(upload) ?? Buffer.alloc(0), bytes]);
  origin.uploads.set(upload, all);
  const digest = searchParams.get('digest');
  if (push.method === 'DELETE') return said(204);
  if (push.method === 'PUT' && digest !== sha256(all))
    return said(400, { errors: [{ code: 'DIGEST_INVALID', message: 'no' }] });
  if (push.method === 'PUT') origin.blobs.set(`${path} ${digest}`, all);
  const next = new URL(`http://origin.test${upload}?_state=${all.length}`);
  if (push.method === 'PUT') return said(201, { digest: sha256(all) });
  return said(push.method === 'GET' ? 204 : 202, { next, range: `0-${Math.max(all.length - 1, 0)}` });
}

export const SAYS_NOTHING: Omit<Pushed, 'status'> = {
  next: undefined,
  range: undefined,
  digest: undefined,
  subject: undefined,
  chunkBytesMin: undefined,
  retryAfter: undefined,
  errors: [],
};
