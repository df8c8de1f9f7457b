import type { MemberStatus } from '@drayage/swarm';
import { adminClient } from '../admin-client.ts';
import { type Call, EXIT, type Output } from '../command.ts';
import { shortMember, table } from '../terminal.ts';
import { formatDuration, formatSize } from '../units.ts';

/** Lists the other members. */
export async function members(call: Call): Promise<number> {
  const { out } = call.around;
  const known = await adminClient(call).get<{ members: readonly MemberStatus[] }>('/api/members');
  if (call.isJson) out.write(`${JSON.stringify(known)}\n`);
  else out.write(known.members.length > 0 ? format(known.members, out) : NOBODY);
  return EXIT.done;
}

const NOBODY = 'no other member is known; drayage status says whether this agent has a swarm key\n';
const HEADING = ['MEMBER', 'ZONE', 'ADDRESS', 'LINKED', 'SENT', 'RECEIVED', 'RTT', 'QUARANTINE'];

function format(members: readonly MemberStatus[], out: Output): string {
  return table(out, HEADING, members.map(cells));
}

function cells(member: MemberStatus): readonly string[] {
  const [address = '', ...more] = member.addresses;
  return [
    shortMember(member.member),
    member.zone ?? '',
    more.length > 0 ? `${address} +${more.length}` : address,
    member.isLinked ? 'yes' : 'no',
    traffic(member.sentBytes, member.sentBytesPerSecond),
    traffic(member.receivedBytes, member.receivedBytesPerSecond),
    member.roundTripMs === undefined ? '' : `${member.roundTripMs.toFixed(1)} ms`,
    member.quarantine ? quarantine(member.quarantine) : '',
  ];
}

function traffic(bytes: number, bytesPerSecond: number): string {
  return bytesPerSecond > 0 ? `${formatSize(bytes)}, ${formatSize(bytesPerSecond)}/s` : formatSize(bytes);
}

function quarantine({ until, why }: NonNullable<MemberStatus['quarantine']>): string {
  const reason = why === 'lie' ? 'sent wrong bytes' : 'did not answer';
  return `${reason}, ${formatDuration(Math.max(until - Date.now(), 0))} left`;
}
