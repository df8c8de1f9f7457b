import { type Digest, Failure, parseDigest } from '@drayage/core';
import type { Answerer, Control } from '../control.ts';

const REPOSITORY_CHARS_MAX = 512;
/** As many as a home names: of hosts that came while the origin was away, none can vouch. */
const MEMBERS_ASKED_MAX = 32;

/** Says whether this host proved a repository public at its origin, and saw the blob in it. */
export function vouchAnswerer(isProven: (repository: string, digest: Digest) => boolean): Answerer {
  return (_member, body) => {
    const { repository, digest: text } = (body ?? {}) as Partial<Record<string, unknown>>;
    const digest = typeof text === 'string' ? parseDigest(text) : undefined;
    if (!digest) throw new Failure('digest_invalid', 'that is no digest');
    if (typeof repository !== 'string' || repository.length > REPOSITORY_CHARS_MAX)
      throw new Failure('name_invalid', 'that is no repository');
    return isProven(repository, digest);
  };
}

/** Whether one of the first holders says so. */
export async function askToVouch(
  question: { readonly repository: string; readonly digest: Digest },
  holders: readonly string[],
  control: Control,
  signal: AbortSignal,
): Promise<boolean> {
  const answers = holders.slice(0, MEMBERS_ASKED_MAX).map(async (member) => {
    const answer = await control.ask(member, 'vouch', question, signal);
    if (answer !== true) throw new Failure('denied', `member ${member} does not vouch for it`);
  });
  // One yes is enough, and a no of another does not outweigh it: it may not have asked.
  return await Promise.any(answers).then(
    () => true,
    () => false,
  );
}
