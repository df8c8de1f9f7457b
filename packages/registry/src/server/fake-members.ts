import { type Digest, type Members, sha256 } from '@drayage/core';

/** Other hosts for tests: what they hold, what they vouch for, and what they were asked. */
export interface FakeMembers extends Members {
  readonly held: Map<Digest, Buffer>;
  /** By `repository digest`. */
  readonly vouched: Set<string>;
  readonly asked: string[];
  /** Answers wait for this. */
  gate: Promise<void>;
}

export function fakeMembers(...held: readonly Buffer[]): FakeMembers {
  const members: FakeMembers = {
    held: new Map(held.map((bytes) => [sha256(bytes), bytes])),
    vouched: new Set(),
    asked: [],
    gate: Promise.resolve(),
    async fetchSmall(digest) {
      members.asked.push(`small ${digest}`);
      await members.gate;
      return members.held.get(digest);
    },
    async vouch(repository, digest) {
      members.asked.push(`vouch ${repository} ${digest}`);
      await members.gate;
      return members.vouched.has(`${repository} ${digest}`);
    },
  };
  return members;
}
