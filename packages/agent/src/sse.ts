import type { ServerResponse } from 'node:http';

/** One client that listens to progress. */
export interface EventSink {
  /** Drops the event when the client reads too slowly: the next one says as much. */
  progress(name: string, data: unknown): void;
  /** An event the client must not miss. */
  tell(name: string, data: unknown): void;
  /** Aborted when the client has gone, or the server ends. */
  readonly signal: AbortSignal;
}

export const EVENT_CLIENTS_MAX = 64;
const EVENT_BACKLOG_BYTES_MAX = 256 * 1024;
const HEARTBEAT_MS = 10_000;

/** Streams of server-sent events; a bounded number at a time, all ended when it is disposed. */
export interface EventStreams extends Disposable {
  /** False when there are too many already. */
  open(response: ServerResponse, run: (sink: EventSink) => Promise<void>): boolean;
}

export function eventStreams(): EventStreams {
  const ending = new AbortController();
  let clients = 0;
  return {
    open: (response, run) => {
      if (clients >= EVENT_CLIENTS_MAX || ending.signal.aborted) return false;
      clients += 1;
      void serve(response, run, ending.signal).finally(() => {
        clients -= 1;
      });
      return true;
    },
    [Symbol.dispose]: () => ending.abort(new Error('the agent is ending')),
  };
}

async function serve(
  response: ServerResponse,
  run: (sink: EventSink) => Promise<void>,
  ending: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort(new Error('the client has gone')));
  response.on('error', () => gone.abort(new Error('the client has gone')));
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.flushHeaders();
  const send = (text: string) => {
    if (!response.writable) return;
    if (response.writableLength > EVENT_BACKLOG_BYTES_MAX) response.destroy();
    else response.write(text);
  };
  const event = (name: string, data: unknown) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  const heartbeat = setInterval(() => send(': still here\n\n'), HEARTBEAT_MS);
  try {
    await run({
      progress: (name, data) => (response.writableNeedDrain ? undefined : send(event(name, data))),
      tell: (name, data) => send(event(name, data)),
      signal: AbortSignal.any([gone.signal, ending]),
    });
  } finally {
    clearInterval(heartbeat);
    response.end();
  }
}
