import { LinkFailure } from './reason.ts';
import type { LinkLimits } from './types.ts';

/** Takes what the other side says, in bytes, off what it may say; throws `excess` when nothing of that is left. */
export type Spend = (bytes: number) => void;

/** Frames are small and each is acted upon, so that a line full of them would leave this side time for nothing else. */
export function openAllowance(
  { talkBytesMax, talkBytesPerSecond }: Pick<LinkLimits, 'talkBytesMax' | 'talkBytesPerSecond'>,
  now: () => number,
): Spend {
  let leftBytes = talkBytesMax;
  let filledAt = now();
  return (bytes) => {
    const at = now();
    leftBytes = Math.min(talkBytesMax, leftBytes + ((at - filledAt) / 1000) * talkBytesPerSecond) - bytes;
    filledAt = at;
    if (leftBytes < 0) throw new LinkFailure('excess', 'talks too much');
  };
}
