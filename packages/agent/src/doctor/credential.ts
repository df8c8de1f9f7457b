import { describe, isFailure } from '@drayage/core';
import { type OriginStatus, startOrigins } from '@drayage/registry';
import type { OriginConfig } from '../origin-config.ts';
import type { Finding } from './finding.ts';

const ANSWER_MS = 10_000;
/** Asked for where no image is known: whether it is there does not matter. */
const NO_IMAGE = { path: 'drayage/doctor', tag: 'none' };

/** An image this agent resolved once. */
export interface KnownImage {
  readonly repository: string;
  readonly tag: string;
}

/** Shows each origin the agent's own credential for it, where it has one. */
export async function checkCredentials(
  origins: readonly OriginConfig[],
  images: readonly KnownImage[],
  { home, version }: { readonly home: string; readonly version: string },
): Promise<readonly Finding[]> {
  const own = origins.filter(({ credential }) => credential !== undefined);
  await using opened = startOrigins({ origins: own, report: () => {}, home, version });
  return await Promise.all(
    own.map(async ({ name }): Promise<Finding> => {
      const about = `credential ${name}`;
      const known = images.find(({ repository }) => repository.startsWith(`${name}/`));
      const path = known?.repository.slice(name.length + 1) ?? NO_IMAGE.path;
      try {
        const { repository } = opened;
        await repository(name, path, { kind: 'agent' }).headManifest(
          known?.tag ?? NO_IMAGE.tag,
          AbortSignal.timeout(ANSWER_MS),
        );
        return { about, state: 'good', finding: 'the origin accepts it' };
      } catch (error) {
        if (!isFailure(error)) throw error;
        const finding = describe(error);
        if (!isFailure(error, 'unauthorized') && !isFailure(error, 'denied'))
          return { about, state: 'warning', finding };
        const isSure = known !== undefined || /credential file|docker-credential|no token/.test(finding);
        const advice = isSure
          ? 'correct it; the agent takes up the new one by itself'
          : 'it may be right all the same: no image of that origin is known to ask for. Try: drayage pull IMAGE';
        return { about, state: isSure ? 'bad' : 'warning', finding, advice };
      }
    }),
  );
}

/** Origins the running agent has given up on for the moment. */
export function checkBreakers(origins: readonly OriginStatus[]): readonly Finding[] {
  return origins
    .filter(({ breaker }) => breaker !== 'closed')
    .map(({ name }) => ({
      about: `origin ${name}`,
      state: 'warning',
      finding: 'the running agent got no answer from it lately, and asks it seldom now',
      advice: 'it goes on by itself when the origin answers; what is in the store is served',
    }));
}
