import type { LookupFunction } from 'node:net';
import type { Happening } from '@drayage/core';
import { startOrigins } from './origins.ts';
import type { Caller, CredentialSettings, GatedOrigins, OriginRepository } from './types.ts';

export const never: AbortSignal = new AbortController().signal;

export interface Lab extends AsyncDisposable {
  readonly origins: GatedOrigins;
  readonly happenings: readonly Happening[];
  repository(path?: string, caller?: Caller): OriginRepository;
}

interface LabParts {
  readonly url: string;
  readonly credential?: CredentialSettings;
  readonly caFile?: string;
  readonly realms?: readonly string[];
  readonly now?: () => number;
  readonly lookup?: LookupFunction;
}

/** The origin client with one origin on its list. */
export function startLab({ url, credential, caFile, realms = [], now = Date.now, lookup }: LabParts): Lab {
  const happenings: Happening[] = [];
  const origins = startOrigins({
    origins: [{ name: 'lab', url, credential, realms, caFile }],
    report: (happening) => happenings.push(happening),
    home: '/',
    version: '1.2.3',
    now,
    ...(lookup && { lookup }),
  });
  return {
    origins,
    happenings,
    repository: (path = 'team/app', caller = { kind: 'agent' }) => origins.repository('lab', path, caller),
    [Symbol.asyncDispose]: () => origins[Symbol.asyncDispose](),
  };
}
