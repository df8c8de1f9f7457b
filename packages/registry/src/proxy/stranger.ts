import { type Forwarder, startForwarder } from '../origin/forward.ts';
import type { Dial } from './dial.ts';
import { formatTarget, type Target } from './target.ts';

/** The way to a plain HTTP server that is no origin, for one request. */
export function strangerForwarder(target: Target, dial: Dial, signal: AbortSignal): Forwarder {
  return startForwarder(new URL(`http://${formatTarget(target)}`), (_options, callback) => {
    dial(target, signal).then(
      (socket) => callback(null, socket),
      (error: Error) => callback(error, null),
    );
  });
}
