import { type AdminAddress, formatAddress } from './address.ts';

const ADMIN_DEFAULT = '127.0.0.1:5051';

/** What an operator does next, one line each, fit to be copied. */
export function nextSteps(admin: AdminAddress, program: string): readonly string[] {
  const address = formatAddress(admin);
  const end = address === ADMIN_DEFAULT ? '' : ` --admin ${address}`;
  return [
    ...['docker', 'containerd', 'podman'].map((name) => `${name.padEnd(11)} ${program} setup ${name}${end}`),
    `check       ${program} doctor${end}`,
  ];
}
