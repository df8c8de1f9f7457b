export type { Reach } from './acquaintances.ts';
export { crowd, type Flooded, flood } from './fake-flood.ts';
export { startTestMember, type TestMember } from './fake-membership.ts';
export { loadIdentity } from './identity.ts';
export { fakeCertificate } from './link/fake-certificate.ts';
export { type FakeMember, fakeMember } from './link/fake-member.ts';
export type { Link } from './link/types.ts';
export { startNode } from './node.ts';
