import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { refusalBody } from '../server/errors.ts';

/** Refuses a request. Its connection ends: what follows on it could not be told from its body. */
export function refuse(incoming: IncomingMessage, response: ServerResponse, status: number, problem: string): void {
  const body = refusalBody(codeOf(status), problem);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    connection: 'close',
  });
  response.end(body);
  if (!incoming.complete) incoming.resume();
}

/** Refuses to lead a connection elsewhere, and ends it. */
export function refuseBytes(connection: Socket, status: number, problem: string): void {
  if (!connection.writable) {
    connection.destroy();
    return;
  }
  const body = refusalBody(codeOf(status), problem);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
  connection.end(Buffer.concat([Buffer.from(head), body]), () => connection.destroy());
}

function codeOf(status: number): string {
  if (status >= 500) return 'UNAVAILABLE';
  return status === 400 ? 'UNSUPPORTED' : 'DENIED';
}
