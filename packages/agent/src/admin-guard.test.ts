import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { type Asked, adminGuard } from './admin-guard.ts';

const guard = adminGuard({ host: '127.0.0.1', port: 5051 });
const plain: Asked = {
  method: 'GET',
  host: 'localhost:5051',
  origin: undefined,
  fetchSite: undefined,
  contentType: undefined,
};

test.each(['localhost:5051', '127.0.0.1:5051', '10.2.3.4:5051', '[::1]:5051', 'LOCALHOST', `${hostname()}:5051`])(
  'the host %s is served: no name was rebound',
  (host) => {
    expect(guard({ ...plain, host })).toBeUndefined();
  },
);

test.each([
  undefined,
  '',
  'evil.test',
  'evil.test:5051',
  'localhost.evil.test',
  '127.0.0.1.nip.test',
  '127.0.0.1:5051@evil.test',
  '[::1',
  '[evil]:1',
  '1.2.3:5051',
])('the host %s is refused', (host) => {
  expect(guard({ ...plain, host })?.status).toBe(421);
});

test.each([
  ['a foreign origin', { origin: 'http://evil.test' }],
  ['no origin to speak of', { origin: 'null' }],
  ['another port of this host', { origin: 'http://localhost:8080' }],
  ['another site', { fetchSite: 'cross-site' }],
  ['another port of this site', { fetchSite: 'same-site' }],
])('a page from %s is refused', (_, foreign) => {
  expect(guard({ ...plain, ...foreign })?.status).toBe(403);
});

test('a page of our own is served', () => {
  const own = { ...plain, origin: 'http://localhost:5051', fetchSite: 'same-origin' };
  expect(guard({ ...own, method: 'POST', contentType: 'application/json; charset=utf-8' })).toBeUndefined();
});

test.each([undefined, 'text/plain', 'application/x-www-form-urlencoded', 'text/plain; application/json'])(
  'a change sent as %s is refused: a form could send it',
  (contentType) => {
    expect(guard({ ...plain, method: 'POST', contentType })?.status).toBe(415);
    expect(guard({ ...plain, method: 'DELETE', contentType })?.status).toBe(415);
  },
);

test('behind a socket file any host will do, but no foreign page', () => {
  const behind = adminGuard({ path: '/run/drayage.sock' });
  expect(behind({ ...plain, host: 'anything' })).toBeUndefined();
  expect(behind({ ...plain, origin: 'http://evil.test' })?.status).toBe(403);
});
