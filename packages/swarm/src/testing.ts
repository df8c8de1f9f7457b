export { type FakeMember, fakeMember } from './link/fake-member.ts';
