/** The cases of the access matrix, and an oracle that knows nothing of how the agent decides. */

export const SCHEMES = ['bearer', 'basic'] as const;
export const FAULTS = [undefined, 401, 403, 404, 429, 503, 'silence'] as const;
/** Whether the credential was shown before: never, a minute ago, longer ago than a proof counts. */
export const HISTORIES = ['unknown', 'fresh', 'stale'] as const;
const USERS = ['alice', 'bob'] as const;
const OWNERS = ['alice', 'bob', 'everyone'] as const;
const WHATS = ['manifest', 'blob', 'range', 'HEAD', 'tags', 'referrers'] as const;
const PLACES = ['here', 'peer', 'cold'] as const;
const CREDENTIALS = ['valid', 'expired', 'revoked', 'elsewhere', 'none', 'garbage'] as const;
const DOORS = ['ns', 'path', 'default'] as const;

/** What holds for all cases that are tried on one endpoint. */
export interface Setting {
  readonly scheme: (typeof SCHEMES)[number];
  readonly fault: (typeof FAULTS)[number];
  readonly history: (typeof HISTORIES)[number];
}

export interface Case {
  readonly id: number;
  readonly user: (typeof USERS)[number];
  readonly owner: (typeof OWNERS)[number];
  readonly what: (typeof WHATS)[number];
  readonly place: (typeof PLACES)[number];
  readonly credential: (typeof CREDENTIALS)[number];
  readonly door: (typeof DOORS)[number];
}

export const SETTINGS: readonly Setting[] = SCHEMES.flatMap((scheme) =>
  FAULTS.flatMap((fault) => HISTORIES.map((history) => ({ scheme, fault, history }))),
);

/** Every combination, each with a repository, a user and an image of its own. */
export const CASES: readonly Case[] = USERS.flatMap((user) =>
  OWNERS.flatMap((owner) =>
    WHATS.flatMap((what) =>
      PLACES.flatMap((place) => CREDENTIALS.map((credential) => ({ user, owner, what, place, credential }))),
    ),
  ),
).map((one, id) => ({ ...one, id, door: DOORS[id % DOORS.length] ?? 'ns' }));

/** What the world says of a case: whether it may give bytes, and whether it must. */
export interface Verdict {
  readonly mayGive: boolean;
  readonly mustGive: boolean;
}

/**
 * Who may read, from the promise alone: whom the origin lets in now; whom it let in less than a proof's life ago, unless
 * the credential says itself that it is over; and while it cannot be asked, whom it let in within a day.
 */
export function judge({ scheme, fault, history }: Setting, { user, owner, what, place, credential }: Case): Verdict {
  const hadRight = owner === user || owner === 'everyone';
  // A password is for no repository in particular, so another user's opens what is open to everyone.
  const isElsewhere = scheme === 'basic' && credential === 'elsewhere' && owner === 'everyone';
  const isReal = ['valid', 'expired', 'revoked'].includes(credential) || isElsewhere;
  const wasLetIn = history !== 'unknown' && isReal && hadRight;
  const saysItIsOver = scheme === 'bearer' && credential === 'expired';
  const isProven = wasLetIn && history === 'fresh' && !saysItIsOver;
  const isLetIn = (credential === 'valid' || isElsewhere) && hadRight;
  const isAway = fault === 429 || fault === 503 || fault === 'silence';
  const isByDigest = what !== 'tags' && what !== 'referrers';
  const isHeld = place === 'here' || (place === 'peer' && wasLetIn);
  return {
    mayGive: isProven || (fault === undefined && isLetIn) || (isAway && wasLetIn),
    mustGive: (fault === undefined && isLetIn) || ((isProven || (isAway && wasLetIn)) && isByDigest && isHeld),
  };
}
