import type { Digest } from '@drayage/core';
import type { FillStory, MemberShare } from '../types.ts';

const STORIES_MAX = 200;
const NOTES_MAX = 50;
const MEMBERS_MAX = 64;

/** One fill as it is being told. */
export interface Telling {
  origin(what: 'request' | 'failure'): void;
  originBytes(bytes: number): void;
  member(member: string): Share;
  home(member: string | undefined): void;
  note(text: string): void;
  end(state: 'sealed' | 'stopped' | 'failed', problem: string | undefined): void;
}

/** What can be told of one member, added up. */
type Share = { -readonly [K in keyof Omit<MemberShare, 'refusals'>]: MemberShare[K] } & {
  readonly refusals: { busy: number; gone: number };
};

/** How the recent fills went. */
export interface Stories {
  begin(facts: Pick<FillStory, 'digest' | 'size' | 'origin' | 'diskBytes'>): Telling;
  of(digest: Digest): readonly FillStory[];
}

type Story = { -readonly [K in keyof FillStory]: FillStory[K] } & {
  readonly fromOrigin: { bytes: number; requests: number; failures: number };
  readonly notes: { readonly at: number; readonly text: string }[];
};

export function keepStories(now: () => number, zoneOf: (member: string) => string | undefined): Stories {
  const stories: { readonly story: Story; readonly shares: Map<string, Share> }[] = [];

  return {
    begin(facts) {
      const shares = new Map<string, Share>();
      const story: Story = {
        ...facts,
        state: 'filling',
        startedAt: now(),
        endedAt: undefined,
        problem: undefined,
        home: undefined,
        fromOrigin: { bytes: 0, requests: 0, failures: 0 },
        fromMembers: [],
        notes: [],
      };
      stories.push({ story, shares });
      stories.splice(0, stories.length - STORIES_MAX);
      return telling(story, shares, { now, zoneOf });
    },
    of: (digest) =>
      stories
        .filter(({ story }) => story.digest === digest)
        .map(({ story, shares }) => ({
          ...story,
          fromOrigin: { ...story.fromOrigin },
          fromMembers: [...shares.values()].map((share) => ({ ...share, refusals: { ...share.refusals } })),
          notes: [...story.notes],
        }))
        .reverse(),
  };
}

interface Outside {
  readonly now: () => number;
  readonly zoneOf: (member: string) => string | undefined;
}

function telling(story: Story, shares: Map<string, Share>, { now, zoneOf }: Outside): Telling {
  return {
    origin(what) {
      if (what === 'request') story.fromOrigin.requests++;
      else story.fromOrigin.failures++;
    },
    originBytes(bytes) {
      story.fromOrigin.bytes += bytes;
    },
    member(member) {
      const known = shares.get(member);
      if (known) return known;
      const share = { ...nothing(member), zone: zoneOf(member) };
      if (shares.size < MEMBERS_MAX) shares.set(member, share);
      return share;
    },
    home(member) {
      story.home = member;
    },
    note(text) {
      if (story.notes.length < NOTES_MAX) story.notes.push({ at: now(), text });
    },
    end(state, problem) {
      story.state = state;
      story.problem = problem;
      story.endedAt = now();
    },
  };
}

function nothing(member: string): Share {
  return {
    member,
    zone: undefined,
    bytes: 0,
    pieces: 0,
    refusals: { busy: 0, gone: 0 },
    calledOff: 0,
    rejected: 0,
  };
}
