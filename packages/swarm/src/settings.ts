// What an operator says of a swarm. It has an entrance of its own: the command line reads it without loading libp2p.
export { isZone } from './contact.ts';
export { type JoinTarget, parseJoinTarget } from './join.ts';
export { newSwarmKey, parseSwarmKeys } from './key.ts';
