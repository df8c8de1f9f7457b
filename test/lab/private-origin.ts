import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, type Running, start } from './process.ts';
import { startTokenService, TOKEN_ISSUER, TOKEN_SERVICE, type TokenService, type User } from './token-service.ts';

/** Real registries that show nothing without a credential: one that wants tokens, one that wants passwords. */
export interface PrivateOrigin extends AsyncDisposable {
  readonly tokens: TokenService;
  /** Wants tokens of that service. */
  readonly tokenUrl: string;
  /** Wants a name and a password (htpasswd). */
  readonly passwordUrl: string;
  /** Both end, as if the network to them were gone. */
  stop(): Promise<void>;
}

const TOKEN_PORT = 5001;
const PASSWORD_PORT = 5002;

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
  const tokens = parts.use(await startTokenService(folder, address, users));
  const lines = await Promise.all(
    users.map(({ name, password }) => must('htpasswd', ['-Bbn', '-C', '5', name, password])),
  );
  const passwords = join(folder, 'htpasswd');
  writeFileSync(passwords, `${lines.map((line) => line.trim()).join('\n')}\n`);
  const registry = async (name: string, port: number, auth: object): Promise<Running> => {
    const file = join(folder, `${name}.yml`);
    const storage = { filesystem: { rootdirectory: root } };
    const http = { addr: `${address}:${port}` };
    writeFileSync(file, JSON.stringify({ version: 0.1, log: { level: 'warn' }, storage, http, auth }));
    return start({
      command: 'docker-registry',
      args: ['serve', file],
      env: { OTEL_TRACES_EXPORTER: 'none' },
      log: join(folder, `${name}.log`),
      ready: async () => (await fetch(`http://${address}:${port}/v2/`)).status === 401,
    });
  };
  const token = {
    realm: tokens.realm,
    service: TOKEN_SERVICE,
    issuer: TOKEN_ISSUER,
    rootcertbundle: tokens.certificate,
  };
  const registries = [
    parts.use(await registry('by-token', TOKEN_PORT, { token })),
    parts.use(await registry('by-password', PASSWORD_PORT, { htpasswd: { realm: 'lab', path: passwords } })),
  ];
  const running = parts.move();
  return {
    tokens,
    tokenUrl: `http://${address}:${TOKEN_PORT}`,
    passwordUrl: `http://${address}:${PASSWORD_PORT}`,
    stop: async () => {
      await tokens.stop();
      for (const one of registries) await one.kill();
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
