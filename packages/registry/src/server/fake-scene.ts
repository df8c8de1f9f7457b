import { startOrigins } from '../origin/origins.ts';
import { type GuardedRegistry, startGuardedRegistry } from './fake-guarded.ts';
import { type AddedImage, addImage, type Lab, startLab } from './fake-parts.ts';
import type { OriginRules } from './policy.ts';

/** An endpoint before a private registry, the way to it real, with one image that alice may read and bob may not. */
export interface PrivateScene extends AsyncDisposable {
  readonly lab: Lab;
  readonly registry: GuardedRegistry;
  /** team/app:1 */
  readonly image: AddedImage;
  readonly clock: { now: number };
  /** Asks as containerd does. */
  get(what: string, authorization?: string): Promise<Response>;
}

export const PRIVATE_NS = 'ns=private.test';

export async function startPrivateScene(
  scheme: 'bearer' | 'basic' = 'bearer',
  rules: OriginRules = {},
): Promise<PrivateScene> {
  const clock = { now: Date.parse('2026-01-01T00:00:00Z') };
  const now = () => clock.now;
  const registry = await startGuardedRegistry({ scheme, now, tokenSeconds: 3600 });
  for (const user of ['alice', 'bob']) registry.passwords.set(user, `${user}-s3cret`);
  registry.rights.add('alice team/app');
  const image = addImage(registry, 'team/app', '1');
  const settings = { name: 'private.test', url: registry.url, credential: undefined, realms: [], caFile: undefined };
  const other = { ...settings, name: 'docker.io', url: 'http://127.0.0.1:1' };
  const origins = startOrigins({ origins: [settings, other], report: () => {}, home: '/', version: '1', now });
  const lab = await startLab({ 'private.test': { access: 'proof', ...rules } }, { origins, now });
  return {
    lab,
    registry,
    image,
    clock,
    get: (what, authorization) =>
      fetch(`${lab.base}/v2/team/app/${what}?${PRIVATE_NS}`, {
        headers: authorization === undefined ? {} : { authorization },
      }),
    async [Symbol.asyncDispose]() {
      await lab[Symbol.asyncDispose]();
      await origins[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}
