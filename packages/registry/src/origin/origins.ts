import { X509Certificate } from 'node:crypto';
import { lookup as systemLookup } from 'node:dns';
import { readFileSync } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { Failure, isOriginName, isRepositoryPath, type Report } from '@drayage/core';
import { guardedConnector, permitsOwn } from './address.ts';
import { type Authority, authorityOf } from './authority.ts';
import { credentialsOf } from './credentials.ts';
import { type Forwarder, startForwarder } from './forward.ts';
import { type Line, startLine } from './line.ts';
import { type Gate, gateOf } from './login.ts';
import { repositoryOf } from './repository.ts';
import type { Forwarders, GatedOrigins, OriginSettings } from './types.ts';

export interface OriginsParts {
  readonly origins: readonly OriginSettings[];
  readonly report: Report;
  /** The folder that `~` means in the names of credential files. */
  readonly home: string;
  /** Drayage's own, for the User-Agent header. */
  readonly version: string;
  /** The system's clock and resolver when absent. */
  readonly now?: () => number;
  readonly lookup?: LookupFunction;
}

interface Entry {
  readonly line: Line;
  readonly authority: Authority;
  readonly gate: Gate;
  readonly forwarder: Forwarder;
}

/** Opens the way to the origins on the list. Throws `options_invalid` when a URL or an authority file is unusable. */
export function startOrigins({
  origins,
  report,
  home,
  version,
  now = Date.now,
  lookup = systemLookup,
}: OriginsParts): GatedOrigins & Forwarders {
  const known = new Map<string, Entry>();
  const checked = origins.map((settings) => ({
    settings,
    url: checkedUrl(settings),
    authorities: readAuthorities(settings),
  }));
  const trustSystem = once(() => trusting([]));
  for (const { settings, url, authorities } of checked) {
    const trust = authorities === undefined ? trustSystem : once(() => trusting([authorities]));
    const line = startLine({ origin: settings.name, url, version, lookup, trust, now, report });
    const credentials = credentialsOf(settings, home, now);
    const guard = { origin: settings.name, host: url.hostname, lookup, trust };
    known.set(settings.name, {
      line,
      forwarder: startForwarder(url, guardedConnector(guard, permitsOwn())),
      authority: authorityOf({ line, credentials, realms: settings.realms, now }),
      gate: gateOf({ line, realms: settings.realms, now }),
    });
  }
  const entryOf = (origin: string) => {
    const entry = known.get(origin);
    if (!entry) throw new Failure('name_unknown', `${origin} is not on the list of origins`);
    return entry;
  };

  return {
    has: (name) => known.has(name),
    repository(origin, path, caller) {
      const entry = entryOf(origin);
      if (!isRepositoryPath(path)) throw new Failure('name_invalid', 'the repository name is malformed');
      return repositoryOf({ ...entry, path, caller }, report);
    },
    gate: (origin) => entryOf(origin).gate,
    forwarder: (origin) => entryOf(origin).forwarder,
    status() {
      return [...known.values()].map(({ line }) => ({
        name: line.origin,
        url: line.url.origin,
        breaker: line.breaker.state(),
      }));
    },
    async [Symbol.asyncDispose]() {
      const entries = [...known.values()];
      await Promise.all(
        entries.flatMap(({ line, forwarder }) => [line, forwarder]).map((one) => one[Symbol.asyncDispose]()),
      );
    },
  };
}

function checkedUrl({ name, url: text }: OriginSettings): URL {
  const url = URL.parse(text);
  const isPlain =
    url && /^https?:$/.test(url.protocol) && !url.username && !url.password && url.href === `${url.origin}/`;
  if (isPlain && isOriginName(name)) return url;
  throw new Failure('options_invalid', `origin "${name}" needs a URL of the form https://HOST[:PORT]`);
}

function readAuthorities({ name, caFile }: OriginSettings): string | undefined {
  if (caFile === undefined) return undefined;
  try {
    const pem = readFileSync(caFile, 'utf8');
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    throw new Failure('options_invalid', `origin "${name}": ${caFile} holds no certificate that can be read`, {
      cause: error,
    });
  }
}

/** Kept by whoever asks: a context for each connection would parse some hundred certificates again. */
function trusting(more: readonly string[]): SecureContext {
  const usual = [...getCACertificates('default'), ...getCACertificates('system')];
  return createSecureContext({ ca: [...new Set([...usual, ...more])] });
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
