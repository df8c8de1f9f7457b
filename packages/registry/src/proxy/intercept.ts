import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Issuer } from './issuer.ts';

const HANDSHAKE_WAIT_MS = 10_000;
const DISTRUST = /CERTIFICATE|UNKNOWN_CA/;

/** The client knows no reason to trust the certificate. */
export class Distrusted extends Error {}

/** Ends a client's TLS as this host would, and resolves with what it says inside. Throws `Distrusted` when it will not have it. */
export function endTls(connection: Socket, host: string, issuer: Issuer): Promise<TLSSocket> {
  const secure = new TLSSocket(connection, {
    isServer: true,
    secureContext: issuer.contextFor(host),
    ALPNProtocols: ['http/1.1'],
    // Another name than it asked to be led to is a mistake or a trick.
    SNICallback: (name, answer) => {
      const isSame = name.toLowerCase().replace(/\.$/, '') === host;
      answer(isSame ? null : new Error(`the TLS greeting is for another host than ${host}`));
    },
  });
  return new Promise((done, fail) => {
    const late = setTimeout(() => give(new Error('no TLS greeting in time')), HANDSHAKE_WAIT_MS);
    const give = (error: Error & { readonly code?: string }) => {
      clearTimeout(late);
      secure.destroy();
      fail(DISTRUST.test(error.code ?? '') ? new Distrusted(error.message, { cause: error }) : error);
    };
    secure.once('error', give);
    const closed = () => give(new Error('the client closed before TLS was agreed on'));
    secure.once('close', closed);
    secure.once('secure', () => {
      clearTimeout(late);
      secure.off('close', closed).off('error', give);
      // What goes wrong on the connection ends it, and that end is what counts.
      secure.on('error', () => secure.destroy());
      done(secure);
    });
  });
}
