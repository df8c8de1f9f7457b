import { randomBytes } from 'node:crypto';
import { Failure, type Intake } from '@drayage/core';

/** An upload that a client began here and goes on at the origin. */
export interface Session {
  /** All that a client is told of it: nobody can guess another's. */
  readonly id: string;
  /** The key of its repository. */
  readonly repository: string;
  /** Where the origin wants it to go on. */
  next: URL;
  /** Bytes the origin has taken. */
  taken: number;
  /** What is kept of it here; undefined before there are bytes, and when the disk takes none. */
  intake: Intake | undefined;
  /** Every byte the origin has taken is here. */
  isWhole: boolean;
}

/** The uploads under way, in memory: a restart forgets them, and clients begin anew. */
export interface Sessions extends AsyncDisposable {
  begin(repository: string, next: URL): Session;
  /** Works on an upload that nobody else works on. Throws `upload_unknown` when this repository has none of that name. */
  use<T>(id: string, repository: string, work: (session: Session) => Promise<T>): Promise<T>;
  end(session: Session): Promise<void>;
}

const SESSIONS_MAX = 512;
const IDLE_MS = 15 * 60_000;
const LOOK_EVERY_MS = 60_000;

interface Entry {
  readonly session: Session;
  isBusy: boolean;
  touchedAt: number;
}

export function keepSessions(now: () => number): Sessions {
  const entries = new Map<string, Entry>();

  async function end(session: Session): Promise<void> {
    entries.delete(session.id);
    await session.intake?.[Symbol.asyncDispose]();
  }

  function endIdle(): void {
    // An intake's end never fails.
    for (const { session, isBusy, touchedAt } of entries.values()) {
      if (!isBusy && now() - touchedAt >= IDLE_MS) void end(session);
    }
  }

  const looking = setInterval(endIdle, LOOK_EVERY_MS).unref();
  return {
    begin(repository, next) {
      endIdle();
      const oldest = [...entries.values()].find(({ isBusy }) => !isBusy);
      if (entries.size >= SESSIONS_MAX && !oldest) {
        throw new Failure(
          'origin_unavailable',
          `${SESSIONS_MAX} uploads are under way here, which is as many as there may be`,
        );
      }
      if (entries.size >= SESSIONS_MAX && oldest) void end(oldest.session);
      const id = randomBytes(16).toString('base64url');
      const session: Session = { id, repository, next, taken: 0, intake: undefined, isWhole: true };
      entries.set(id, { session, isBusy: false, touchedAt: now() });
      return session;
    },
    async use(id, repository, work) {
      const entry = entries.get(id);
      if (entry?.session.repository !== repository) {
        throw new Failure(
          'upload_unknown',
          `${repository} has no such upload here: it ended, or this agent was restarted`,
        );
      }
      if (entry.isBusy) throw new Failure('upload_unknown', 'another request works on this upload');
      entry.isBusy = true;
      try {
        return await work(entry.session);
      } finally {
        entry.isBusy = false;
        entry.touchedAt = now();
        // The youngest stands last.
        if (entries.delete(id)) entries.set(id, entry);
      }
    },
    end,
    async [Symbol.asyncDispose]() {
      clearInterval(looking);
      await Promise.all([...entries.values()].map(({ session }) => end(session)));
    },
  };
}
