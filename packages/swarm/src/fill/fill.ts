import { describe, type Fill, type FillJob, isFailure, type Report } from '@drayage/core';
import type { Approach } from '../approach.ts';
import type { Filling, Part } from './part-types.ts';
import type { Stories, Telling } from './story.ts';

export interface SwarmFillParts {
  /** For when there is no other member. */
  readonly originFill: Fill;
  readonly isAlone: () => boolean;
  readonly approach: Approach['approach'];
  readonly take: (filling: Filling) => Promise<Part>;
  readonly stories: Stories;
  readonly report: Report;
}

/** Fills from other members, and from the origin what is this host's to fetch; alone in the world, from the origin. */
export function swarmFill({ originFill, isAlone, approach, take, stories, report }: SwarmFillParts): Fill {
  async function exchange(job: FillJob, story: Telling, signal: AbortSignal): Promise<void> {
    await approach(job.draft.digest, signal);
    const part = await take({ ...job, story });
    const giveUp = () => void part.stop(asError(signal.reason));
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      await part.proven;
    } catch (error) {
      // The draft is not to be let go, or filled in another way, while pieces are on their way into it.
      await part.stop(asError(error));
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  async function fill(job: FillJob, story: Telling, signal: AbortSignal): Promise<void> {
    const { digest, plan } = job.draft;
    if (plan.count > 0 && !isAlone()) {
      try {
        return await exchange(job, story, signal);
      } catch (error) {
        if (signal.aborted || isFailure(error)) throw error;
        // A fault of ours must not cost the client its pull.
        report({ kind: 'error', where: 'exchange', problem: `${digest} goes on from the origin: ${describe(error)}` });
      }
    }
    story.note('filled from the origin alone');
    const arrived: FillJob['arrived'] = (from, bytes) => {
      story.originBytes(bytes);
      job.arrived(from, bytes);
    };
    await originFill({ ...job, arrived }, signal);
  }

  return async (job, signal) => {
    const { digest, plan, heldBytes: diskBytes } = job.draft;
    const story = stories.begin({ digest, size: plan.size, origin: job.remote.origin, diskBytes });
    try {
      await fill(job, story, signal);
      story.end('sealed', undefined);
    } catch (error) {
      story.end(signal.aborted ? 'stopped' : 'failed', describe(error));
      throw error;
    }
  };
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
