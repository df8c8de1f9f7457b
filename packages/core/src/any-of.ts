import type { Remote } from './blob.ts';
import { isFailure } from './failure.ts';

/**
 * One blob's repository as any of several callers may see it: when the origin refuses one of them in the middle, because a
 * token ended, the bytes go on with the next. The set may change meanwhile; the youngest is asked first.
 */
export function anyOf(remotes: ReadonlySet<Remote>): Remote {
  const [first] = remotes;
  if (!first) throw new Error('nobody to read for');

  return {
    origin: first.origin,
    stat: (digest, signal) => (nextOf(remotes, new Set()) ?? first).stat(digest, signal),
    async *read(digest, span, signal) {
      const refused = new Set<Remote>();
      for (let at = span.start; at < span.end; ) {
        const remote = nextOf(remotes, refused) ?? first;
        try {
          for await (const chunk of remote.read(digest, { start: at, end: span.end }, signal)) {
            at += chunk.length;
            yield chunk;
          }
          return;
        } catch (error) {
          refused.add(remote);
          if (!isRefusal(error) || !nextOf(remotes, refused)) throw error;
        }
      }
    },
  };
}

function nextOf(remotes: ReadonlySet<Remote>, refused: ReadonlySet<Remote>): Remote | undefined {
  return [...remotes].reverse().find((remote) => !refused.has(remote));
}

function isRefusal(error: unknown): boolean {
  return isFailure(error, 'unauthorized') || isFailure(error, 'denied');
}
