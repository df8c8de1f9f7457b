/** Links a member tries to keep for one blob. */
export const LINKS_WANTED = 8;
/** Links a member opens by itself when it joins; as many again come in from those who join later. */
export const LINKS_OPENED_FIRST = 5;
/** Links that a member opens on top of those it has, to find what it lacks. */
export const LINKS_WHEN_LACKING = 4;
/** Links beyond which a member refuses another. */
export const LINKS_MAX = 24;
/** Pieces a member has asked for and not yet got, over all its links: as many as uploaders have slots, or some wait. */
export const IN_FLIGHT_USUAL = 4;
/** Of each of several blobs at a time. */
export const ROOM_MIN = 2;
/** The same, for uploaders that would otherwise idle. */
export const IN_FLIGHT_MAX = 8;
/** Uploads at a time of a member whose uplink is like that of its links. */
export const SLOTS = 4;
export const SLOTS_MAX = 16;
/** Where answers and news take long beside a piece, so many times as many are under way: part of them only wait. */
export const DEPTH_FACTOR_MAX = 1.75;
/** Each part of a piece's time that an answer and news take adds so many times that part. */
export const DEPTH_GAIN = 2;
/** An uplink within this factor of what is usual is like any other: what is seen of it is no closer than that. */
export const UPLINK_LIKE_FACTOR = 2;
/** Pieces that have to be on their way at a time for their pace to say something of our uplink: all the usual slots. */
export const UPLINK_SENDING_MIN = 4;
/** So long they have to be, all together, for it to be reckoned. */
export const UPLINK_RECKONED_MS = 1000;
/** What is believed after a reckoning is no less than this part of what was believed before. */
export const UPLINK_MEMORY = 0.9;
/** What nothing has borne out for so long is forgotten. */
export const UPLINK_KEPT_MS = 600_000;
/** Members whose uplinks a home looks at to know the usual one. */
export const UPLINKS_SAMPLED = 33;
/** Uploads and open offers together, in slots. */
export const OFFERED_SLOTS_MAX = 2;
/** An offer that is answered within this part of the time that an upload takes leaves no uplink idle. */
export const ANSWER_PART = 0.25;
/** No fewer of our offers are thought to be taken. */
export const TAKEN_SHARE_MIN = 0.25;
/** Copies of a late piece that are asked for on top of those in flight. */
export const HEDGES_MAX = 2;
/** A member that lacks no more than this asks for late pieces elsewhere sooner. */
export const LAST_PIECES = 4;

/** News of pieces waits this long for more of it. */
export const HAVE_EVERY_MS = 50;
/** Bookkeeping that no event triggers. */
export const TICK_MS = 250;
/** A slot that was offered is kept this long. */
export const OFFER_MS = 250;
/** After BUSY a link is not asked again for this long, unless it offers. */
export const BUSY_MS = 250;
/** A link that answers nothing but BUSY for this long is as good as one that has nothing; usually it offers long before. */
export const BUSY_HOPELESS_MS = 10_000;
/** A transfer without bytes for this long has stalled. */
export const STALL_MS = 1000;
/** The same before its first byte, which may stand in a queue with those of other blobs. */
export const FIRST_BYTE_MS = 2000;
/** A transfer that takes this many times as long as is usual is late, and hedged. */
export const LATE_FACTOR = 4;
export const LATE_MS = 1000;
/** What takes this long, and so many times as long as is usual, is given up: a transfer, or a lease whatever its holder says. */
export const HOPELESS_MS = 5000;
export const HOPELESS_FACTOR = 10;
export const LATE_AT_THE_END_FACTOR = 1.5;

/** A home that does not answer in this time is passed over for the next: two homes at a time cost the origin twice. */
export const HOME_ANSWER_MS = 2000;
/** A member that no home answers looks for one again after this long. */
export const HOME_RETRY_MS = 5000;
/** How long nothing may come in before a member tells its home what it cannot find, at first and at most. */
export const LACK_MS = 500;
export const LACK_MS_MAX = 8000;
export const LACK_FACTOR = 1.5;
/** The same for what only the reader waits for, while other pieces come in: so many times as long. */
export const HEAD_LATE_FACTOR = 3;
/** A member that no bytes reach for this long, whatever its home says, fetches from the origin until members deliver again. */
export const PATIENCE_MS = 6000;
/** The same for a blob so small that every member may take it from the origin: a client waits for it, as for any other. */
export const SMALL_PATIENCE_MS = 1500;
export const SMALL_BYTES_MAX: number = 16 * 1024;
/** The same when bytes come, but no piece. */
export const PIECE_PATIENCE_MS = 30_000;
/** Part of the requests that go for the rarest piece of all, wherever the reader is. */
export const ANYWHERE_SHARE = 0.125;
/** How long the reader may wait for its next piece before that piece goes before rarer ones. */
export const READER_WAIT_MS = 500;
/** Wait before the origin is asked again after it failed, at first and at most. */
export const ORIGIN_RETRY_MS = 500;
export const ORIGIN_RETRY_MS_MAX = 4000;

/** Members that may fetch one blob from the origin at a time: beyond that, a slow origin gives each its first piece late. */
export const LEASES_MAX = 6;
/** Pieces of one lease. */
export const LEASE_PIECES_MAX = 8;
/** A lease with no more than this left is extended, so that the connection never idles. */
export const LEASE_EXTEND_PIECES = 2;
/** A lease without a piece for this long is asked after; without an answer for as long again it ends. */
export const LEASE_QUIET_MS = 1000;
/** A connection to the origin that was silent for no longer than this is slow, not dead. */
export const ORIGIN_SILENT_MS = 3000;
/** Where answers take long, waits for one are as long as so many usual answers, but no longer than the second. */
export const ANSWER_FACTOR = 4;
export const ANSWER_WAIT_MS_MAX = 6000;
/** Usual answers that pass until a member is linked to another: whoever looks for a piece may be doing that. */
export const LINKING_ANSWERS = 3;
/** A piece that only a member now gone had is leased again after this long, unless somebody shows it. */
export const ORPHAN_MS = 2000;
/** A piece is believed to be where it landed for this long, and for as long again after the first complaint. */
export const DOUBT_MS = 500;
/** A member is given no more while so many pieces rest on its word alone, unless there is nobody else. */
export const UNSEEN_PIECES_MAX = 8;
/** Doubt takes so many times as long where the member that has the piece goes on saying so: others may still be on their way to it. */
export const PRESENT_FACTOR = 2;
/** Complaints about a piece that others have, before it is fetched once more. */
export const COMPLAINTS_MAX = 3;
/** A home believes that a member lied when this share of a blob's members caught it, and never needs more than so many. */
export const ACCUSERS_SHARE: number = 1 / 3;
export const ACCUSERS_MAX = 1024;
/** Doubts of one member that may turn out to be wrong: each costs a piece. */
export const WRONG_DOUBTS_MAX = 4;
/** A piece of an author that is fetched again is waited for this long before one of another blob is. */
export const LOOK_MS = 3000;
/** Members whose doubts of one other are remembered. */
export const DOUBTERS_MAX = 8;
/** Members of one blob that a member can accuse. */
export const ACCUSED_MAX = 64;
/** Liars that are named in one report. */
export const CAUGHT_TOLD_MAX = 8;
/** A home that takes over waits this long for those who hold leases. */
export const SUCCESSION_MS = 1000;
/** Members named to one who joins. */
export const MEMBERS_NAMED_MAX = 16;
/** Of these, members of other zones, so that no zone is an island. */
export const MEMBERS_NAMED_FAR = 4;
/** Reports a home wants to hear in a second, over all members; each is asked to report no more often than that. */
export const REPORTS_PER_SECOND = 500;
export const REPORT_MS_MIN = 2500;
/** A member that has had it all for a while reports only to be found. */
export const SEALED_LATELY_MS = 30_000;
export const REPORT_SEALED_MS = 10_000;
/** Members a home keeps for one blob. */
export const GUESTS_MAX = 65_536;
/** A member that did not report for this long is gone. */
export const GUEST_SILENT_MS = 120_000;

/** Claims that came to nothing within the time, with none kept in between, before a member is left alone for a while. */
export const MISSES_MAX = 3;
/** So many of them, and what it alone has counts as missing. */
export const MISSES_OF_FAILED = 2;
/** The same for the only one that has what we need: better late than never. */
export const MISSES_OF_ONLY_MAX = 6;
export const MISSES_WITHIN_MS = 60_000;
/** Misses that lie closer together count once. */
export const MISS_MS = 500;
export const MISSES_QUARANTINE_MS = 60_000;
/** A link that stalled is asked last for this long. */
export const STALLED_MS = 2000;
/** Quarantine after a proven lie. */
export const LIE_QUARANTINE_MS = 86_400_000;
/** Members on record, for misses and for quarantine alike; the oldest is forgotten. */
export const STANDING_MAX = 4096;
