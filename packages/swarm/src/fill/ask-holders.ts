import type { Digest, Members } from '@drayage/core';
import type { Control } from '../control.ts';
import type { Directory } from '../directory.ts';
import { fetchSmall } from './small.ts';
import { askToVouch } from './vouch.ts';

export interface AskHoldersParts {
  readonly isAlone: () => boolean;
  readonly isTrusted: (member: string) => boolean;
  readonly directory: Directory;
  readonly control: Control;
}

/** What the members that hold a blob are asked besides its pieces. Alone in the world nobody is asked or waited for. */
export function askHolders({ isAlone, isTrusted, directory, control }: AskHoldersParts): Members {
  async function holdersOf(digest: Digest, signal: AbortSignal): Promise<readonly string[]> {
    const holders = isAlone() ? [] : await directory.find(digest, signal);
    return holders.map(({ member }) => member).filter((member) => isTrusted(member));
  }
  return {
    fetchSmall: async (digest, signal) => await fetchSmall(digest, await holdersOf(digest, signal), control, signal),
    vouch: async (repository, digest, signal) =>
      await askToVouch({ repository, digest }, await holdersOf(digest, signal), control, signal),
  };
}
