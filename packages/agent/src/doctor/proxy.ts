import { once } from 'node:events';
import { request } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { describe } from '@drayage/core';
import { parseAddress } from '../address.ts';
import type { ProxyStatus } from '../open-proxy.ts';
import type { Finding } from './finding.ts';

const ANSWER_MS = 5000;

/** Goes through the forward proxy as a runtime would that trusts its authority and nothing else. */
export async function checkProxy({ address, certificate, places }: ProxyStatus): Promise<Finding> {
  const about = 'proxy';
  const [place] = places;
  if (place === undefined) {
    const advice = 'every origin has proxy: false, or is Docker Hub; its mirrors are another way';
    return { about, state: 'warning', finding: `http://${address} answers for no registry`, advice };
  }
  try {
    await greet(address, place, certificate);
    return { about, state: 'good', finding: `http://${address} answers for ${place}, by its own authority` };
  } catch (error) {
    const finding = `http://${address} does not answer for ${place}: ${describe(error)}`;
    return { about, state: 'bad', finding, advice: 'start the agent again, and look at its log' };
  }
}

async function greet(address: string, place: string, certificate: string): Promise<void> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  const { host, port } = parseAddress(address);
  const [bracketed = ''] = /^\[[^\]]*\]|^[^:]*/.exec(place) ?? [];
  const name = bracketed.replace(/^\[|\]$/g, '');
  const path = /:\d+$/.test(place) ? place : `${place}:443`;
  const asked = request({ host, port, method: 'CONNECT', path, signal, agent: false }).end();
  const [{ statusCode }, socket] = (await once(asked, 'connect', { signal })) as [{ statusCode: number }, Socket];
  try {
    if (statusCode !== 200) throw new Error(`status ${statusCode}`);
    const secure = connect({ socket, ca: certificate, host: name, ...(isIP(name) ? {} : { servername: name }) });
    await once(secure, 'secureConnect', { signal });
  } finally {
    socket.destroy();
  }
}
