import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Front, startFront } from './front.ts';
import { must, type Running, start } from './process.ts';
import { startTokenServer, TOKEN_ISSUER, TOKEN_SERVICE, type TokenServer, type User } from './token-server.ts';

/** Real registries that show nothing without a credential: one that wants tokens, one that wants passwords. */
export interface PrivateOrigin extends AsyncDisposable {
  readonly tokens: TokenServer;
  /** Stands before the registry that wants tokens. */
  readonly front: Front;
  /** Both end, as if the network to them were gone. */
  stop(): Promise<void>;
}

/** Where agents find them. */
export const TOKEN_PORT = 5001;
export const PASSWORD_PORT = 5002;
const BEHIND_FRONT_PORT = 5003;

export interface PrivateOriginParts {
  readonly folder: string;
  /** What they show: the storage of another registry. */
  readonly root: string;
  readonly address: string;
  readonly users: readonly User[];
}

export async function startPrivateOrigin({ folder, root, address, users }: PrivateOriginParts): Promise<PrivateOrigin> {
  mkdirSync(folder, { recursive: true });
  await using parts = new AsyncDisposableStack();
  const tokens = parts.use(await startTokenServer({ folder, address, users }));
  const lines = await Promise.all(
    users.map(({ name, password }) => must('htpasswd', ['-Bbn', '-C', '5', name, password])),
  );
  const passwords = join(folder, 'htpasswd');
  writeFileSync(passwords, `${lines.map((line) => line.trim()).join('\n')}\n`);
  const registry = async (name: string, at: string, auth: object): Promise<Running> => {
    const file = join(folder, `${name}.yml`);
    const storage = { filesystem: { rootdirectory: root } };
    const http = { addr: at };
    writeFileSync(file, JSON.stringify({ version: 0.1, log: { level: 'warn' }, storage, http, auth }));
    return start({
      command: 'docker-registry',
      args: ['serve', file],
      env: { OTEL_TRACES_EXPORTER: 'none' },
      log: join(folder, `${name}.log`),
      ready: async () => (await fetch(`http://${at}/v2/`)).status === 401,
    });
  };
  const token = {
    realm: tokens.realm,
    service: TOKEN_SERVICE,
    issuer: TOKEN_ISSUER,
    rootcertbundle: tokens.certificate,
  };
  const registries = [
    parts.use(await registry('by-token', `127.0.0.1:${BEHIND_FRONT_PORT}`, { token })),
    parts.use(
      await registry('by-password', `${address}:${PASSWORD_PORT}`, { htpasswd: { realm: 'lab', path: passwords } }),
    ),
  ];
  const doors = [{ name: 'token', host: address, port: TOKEN_PORT }];
  const front = parts.use(await startFront(doors, BEHIND_FRONT_PORT));
  const running = parts.move();
  return {
    tokens,
    front,
    stop: async () => {
      await tokens.stop();
      await front.close('token');
      for (const one of registries) await one.kill();
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
