export { isZone } from './contact.ts';
export { type HostPort, type JoinTarget, parseJoinTarget, SWARM_PORT } from './join.ts';
export { newSwarmKey, parseSwarmKeys, type SwarmKey } from './key.ts';
export { type SwarmParts, startSwarm } from './swarm.ts';
export type { FillStory, MemberShare, MemberStatus, Swarm } from './types.ts';
