export { type Contact, isZone } from './contact.ts';
export { type Answerer, type Control, startControl } from './control.ts';
export { type Directory, type DirectoryParts, openDirectory } from './directory.ts';
export { loadIdentity } from './identity.ts';
export { type HostPort, type JoinTarget, parseJoinTarget, SWARM_PORT, systemResolver } from './join.ts';
export { type JoiningParts, startJoining } from './joining.ts';
export { newSwarmKey, parseSwarmKeys, type SwarmKey } from './key.ts';
export { type NodeParts, type SwarmNode, startNode } from './node.ts';
export { type Routing, routingOf } from './routing.ts';
