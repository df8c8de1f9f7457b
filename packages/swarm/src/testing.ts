export { fakeCertificate } from './link/fake-certificate.ts';
export { type FakeMember, fakeMember } from './link/fake-member.ts';
export type { Link } from './link/types.ts';
