import { once } from 'node:events';
import { createServer } from 'node:https';
import type { Certificate } from './certificates.ts';

/** A token service that knows one user. */
export interface TokenServer extends AsyncDisposable {
  /** What it was asked, with the credential. */
  readonly asked: readonly { readonly query: string; readonly authorization: string | undefined }[];
}

export interface TokenRules {
  readonly host: string;
  readonly certificate: Certificate;
  readonly username: string;
  readonly password: string;
  /** What it gives to that user, and to nobody else. */
  readonly token: string;
}

/** Starts it on the usual port of an address. */
export async function startTokenServer({ host, certificate, ...rules }: TokenRules): Promise<TokenServer> {
  const asked: { query: string; authorization: string | undefined }[] = [];
  const right = `Basic ${Buffer.from(`${rules.username}:${rules.password}`).toString('base64')}`;
  const server = createServer(certificate, (request, response) => {
    const { authorization } = request.headers;
    asked.push({ query: request.url ?? '', authorization });
    response.writeHead(authorization === right ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ token: rules.token, access_token: rules.token, expires_in: 300 }));
  });
  server.listen(443, host);
  await once(server, 'listening');
  return {
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
