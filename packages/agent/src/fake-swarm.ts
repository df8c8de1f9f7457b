import type { Digest } from '@drayage/core';
import type { FillStory, MemberStatus, Swarm } from '@drayage/swarm';

/** A swarm that says what it is told to say. */
export function fakeSwarm({
  members = [],
  stories = [],
}: {
  readonly members?: readonly MemberStatus[];
  readonly stories?: readonly FillStory[];
} = {}): Swarm {
  return {
    member: '12D3KooWGSSP5HvDwDwrxAbbmJUiQY1zsVcq9YnbNhEFVQaZ4MxH',
    addresses: { swarm: ['192.0.2.1:5052'], links: ['192.0.2.1:5053'] },
    fill: async () => {
      throw new Error('nothing is filled here');
    },
    fetchSmall: async () => undefined,
    vouch: async () => false,
    announce: () => {},
    withdraw: () => {},
    homes: () => [],
    members: () => members,
    explain: (digest) => stories.filter((story) => story.digest === digest),
    async [Symbol.asyncDispose]() {},
  };
}

/** A member in good standing, with any part of it replaced. */
export function aMember(changes: Partial<MemberStatus>): MemberStatus {
  return {
    member: '12D3KooWNDpsiG8LbXDvRmBTjZHUuxtYnnAkPFYPYjKGZyaSHUC9',
    zone: 'rack-a',
    addresses: ['192.0.2.2:5053'],
    isLinked: true,
    sentBytes: 3 * 2 ** 20,
    receivedBytes: 5 * 2 ** 20,
    sentBytesPerSecond: 0,
    receivedBytesPerSecond: 2 ** 20,
    roundTripMs: 1.25,
    quarantine: undefined,
    ...changes,
  };
}

/** A sealed fill from everywhere, with any part of it replaced. */
export function aStory(digest: Digest, changes: Partial<FillStory> = {}): FillStory {
  return {
    digest,
    size: 10 * 2 ** 20,
    origin: 'docker.io',
    state: 'sealed',
    startedAt: 1000,
    endedAt: 3100,
    problem: undefined,
    home: '12D3KooWNDpsiG8LbXDvRmBTjZHUuxtYnnAkPFYPYjKGZyaSHUC9',
    diskBytes: 2 ** 20,
    fromOrigin: { bytes: 2 * 2 ** 20, requests: 3, failures: 1 },
    fromMembers: [
      {
        member: '12D3KooWNDpsiG8LbXDvRmBTjZHUuxtYnnAkPFYPYjKGZyaSHUC9',
        zone: 'rack-a',
        bytes: 7 * 2 ** 20,
        pieces: 28,
        refusals: { busy: 4, gone: 1 },
        calledOff: 2,
        rejected: 1,
      },
    ],
    notes: [{ at: 1400, text: 'the home did not answer; asked the next' }],
    ...changes,
  };
}
