import { discard, headerOf } from './answer.ts';
import { type Answer, isOnce, type Line, type Outgoing } from './line.ts';
import { unavailable } from './refusal.ts';

const REDIRECTS_MAX = 5;
const LOCATION_CHARS_MAX = 8192;
const REDIRECT_STATUSES: readonly number[] = [301, 302, 303, 307, 308];

/**
 * An exchange with its redirects. A credential stays behind for good at the first step to another host, port or scheme;
 * where the steps may lead is checked when the connection is made.
 */
export async function follow(line: Line, request: Outgoing, signal: AbortSignal): Promise<Answer> {
  let current = request;
  for (let steps = 0; ; steps += 1) {
    const answer = await line.send(current, signal);
    if (!REDIRECT_STATUSES.includes(answer.status)) return answer;
    await discard(answer);
    if (!isRepeatable(current, answer.status)) throw unavailable(line.origin, 'redirects what cannot be sent again');
    if (steps === REDIRECTS_MAX) throw unavailable(line.origin, `redirects more than ${REDIRECTS_MAX} times`);
    const url = targetOf(line.origin, current.url, headerOf(answer, 'location'));
    const { authorization: _, ...bare } = current.headers;
    current = { ...current, url, headers: url.origin === current.url.origin ? current.headers : bare };
  }
}

/** Whether the same request may go to another address: one that changes something only where that is what was meant. */
function isRepeatable({ method, body }: Outgoing, status: number): boolean {
  return !isOnce(body) && (method === 'GET' || method === 'HEAD' || status === 307 || status === 308);
}

/** The address an origin sends us to. Throws when it is none, or not as safe as the one that was asked. */
export function targetOf(origin: string, from: URL, location: string | undefined): URL {
  const isSane = location !== undefined && location.length <= LOCATION_CHARS_MAX;
  const url = isSane ? URL.parse(location, from.href) : null;
  if (!url || !/^https?:$/.test(url.protocol)) throw unavailable(origin, 'redirects to no usable address');
  if (url.username || url.password) throw unavailable(origin, 'redirects to an address with a user name in it');
  if (from.protocol === 'https:' && url.protocol === 'http:') {
    throw unavailable(origin, `redirects from https to plain http at ${url.host}`);
  }
  return url;
}
