import { networkInterfaces } from 'node:os';
import type { HostPort } from './join.ts';

/** As many as a contact may name. */
const ADDRESSES_MAX = 8;
const ANY = new Set(['0.0.0.0', '::']);

/** Where others reach what listens here: the name that was given, else every address of this host. */
export function reachableAt(listening: readonly HostPort[], advertise: string | undefined): readonly HostPort[] {
  const own = hostAddresses();
  return listening
    .flatMap(({ host, port }) => {
      if (advertise !== undefined) return [{ host: advertise, port }];
      if (!ANY.has(host)) return [{ host, port }];
      return own
        .filter((address) => host === '::' || !address.includes(':'))
        .map((address) => ({ host: address, port }));
    })
    .slice(0, ADDRESSES_MAX);
}

/** Addresses of this host that others may know, and only without any, that of the host itself. */
function hostAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outward = all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  return (outward.length > 0 ? outward : all).map(({ address }) => address);
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
