export type { HostPort } from './join.ts';
export type { SwarmKey } from './key.ts';
export { type SwarmParts, startSwarm } from './swarm.ts';
export type { FillStory, MemberShare, MemberStatus, Swarm } from './types.ts';
