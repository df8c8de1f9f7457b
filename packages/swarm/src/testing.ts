export { startTestMember, type TestMember } from './fake-membership.ts';
export { type FakeMember, fakeMember } from './link/fake-member.ts';
