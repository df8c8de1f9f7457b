import { once } from 'node:events';
import { until } from './process.ts';

const INSPECTOR_WAIT_MS = 10_000;

/** Makes a Node process throw away what it no longer uses, so that its memory can be compared between moments. */
export async function collectGarbage(pid: number): Promise<void> {
  process.kill(pid, 'SIGUSR1');
  let address = '';
  await until('the inspector to open', INSPECTOR_WAIT_MS, async () => {
    const [target] = (await (await fetch('http://127.0.0.1:9229/json/list')).json()) as {
      webSocketDebuggerUrl: string;
    }[];
    address = target?.webSocketDebuggerUrl ?? '';
    return address !== '';
  });
  const socket = new WebSocket(address);
  await once(socket, 'open');
  const answered = once(socket, 'message');
  socket.send(JSON.stringify({ id: 1, method: 'HeapProfiler.collectGarbage' }));
  await answered;
  const closed = once(socket, 'close');
  socket.close();
  await closed;
}
