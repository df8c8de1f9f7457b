import { randomBytes } from 'node:crypto';
import { type Digest, sha256 } from '@drayage/core';
import type { Lab } from './fake-parts.ts';
import type { OriginRules } from './policy.ts';

/** Rules under which anyone may push. */
export const OPEN: Readonly<Record<string, OriginRules>> = { 'registry.example.com': { access: 'node', push: true } };
export const BASE: string = '/v2/registry.example.com/team/app';
export const BYTES: Buffer = randomBytes(300_000);
export const DIGEST: Digest = sha256(BYTES);

type Sent = Uint8Array | string | ReadableStream;

export async function call(
  { base }: Lab,
  request: string,
  body?: Sent,
  headers: Record<string, string> = {},
): Promise<Response> {
  const [method = '', path = ''] = request.split(' ');
  return fetch(`${base}${path}`, {
    method,
    headers,
    ...(body !== undefined && { body, duplex: 'half' }),
  } as RequestInit);
}

export async function begun(lab: Lab, base: string = BASE): Promise<string> {
  const answer = await call(lab, `POST ${base}/blobs/uploads/`);
  if (answer.status !== 202) throw new Error(`the upload was answered ${answer.status}`);
  return answer.headers.get('location') ?? '';
}

export async function codeOf(answer: Response): Promise<string> {
  const { errors } = (await answer.json()) as { errors: { code: string }[] };
  return `${answer.status} ${errors[0]?.code}`;
}

export function streamOf(...parts: Uint8Array[]): ReadableStream {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });
}
