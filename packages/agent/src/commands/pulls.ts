import { setTimeout as wait } from 'node:timers/promises';
import { type PullStatus, shortOf } from '@drayage/core';
import { adminClient } from '../admin-client.ts';
import { type Call, EXIT, type Output } from '../command.ts';
import { bar, liveLines, paint, table } from '../terminal.ts';
import { formatDuration, formatSize } from '../units.ts';

const FOLLOW_EVERY_MS = 500;
const ROWS_FOLLOWED_MAX = 20;

/** Lists fills; with --follow it goes on until it is interrupted. */
export async function pulls(call: Call): Promise<number> {
  const { out } = call.around;
  const client = adminClient(call);
  const list = async () => (await client.get<{ pulls: readonly PullStatus[] }>('/api/pulls')).pulls;
  if (!call.arguments.values.has('follow')) {
    const now = await list();
    out.write(call.isJson ? `${JSON.stringify({ pulls: now })}\n` : table(out, HEADING, now.map(cells)));
    return EXIT.done;
  }
  const show = call.isJson ? jsonLines(out) : out.isTerminal ? bars(out) : changes(out);
  for (;;) {
    show(await list());
    await wait(FOLLOW_EVERY_MS);
  }
}

type Show = (pulls: readonly PullStatus[]) => void;

const HEADING = ['DIGEST', 'ORIGIN', 'STATE', 'HELD', 'SIZE', 'READERS', 'TIME', 'PROBLEM'];

function cells(pull: PullStatus): readonly string[] {
  return [
    shortOf(pull.digest),
    pull.origin,
    stateOf(pull),
    formatSize(pull.heldBytes),
    formatSize(pull.size),
    String(pull.readers),
    formatDuration((pull.endedAt ?? Date.now()) - pull.startedAt),
    pull.problem ?? '',
  ];
}

function stateOf({ state, awaitsProof }: PullStatus): string {
  return awaitsProof ? `${state}, held until proven` : state;
}

function jsonLines(out: Output): Show {
  return (pulls) => out.write(`${JSON.stringify({ pulls })}\n`);
}

/** Fills in bars, the running ones first. */
function bars(out: Output): Show {
  const live = liveLines(out);
  return (pulls) => {
    const rank = ({ state, startedAt }: PullStatus) => (state === 'filling' ? Number.MAX_SAFE_INTEGER : startedAt);
    const shown = [...pulls].sort((a, b) => rank(b) - rank(a)).slice(0, ROWS_FOLLOWED_MAX);
    if (shown.length === 0) return live.draw([paint(out, 'grey', 'no blob has been fetched lately')]);
    return live.draw(
      shown.map((pull) => {
        const share = pull.size > 0 ? pull.heldBytes / pull.size : 1;
        const colour = pull.state === 'sealed' ? 'green' : pull.state === 'filling' ? 'cyan' : 'red';
        const size = `${formatSize(pull.heldBytes)} / ${formatSize(pull.size)}`;
        return `${shortOf(pull.digest)}  ${paint(out, colour, bar(share))}  ${size.padEnd(21)}  ${stateOf(pull)}  ${pull.origin}`;
      }),
    );
  };
}

/** A line whenever a fill reaches another state, or its readers begin or cease to be held. */
function changes(out: Output): Show {
  let known = new Map<string, string>();
  return (pulls) => {
    const next = new Map(pulls.map((pull) => [`${pull.digest} ${pull.startedAt}`, stateOf(pull)]));
    for (const pull of pulls) {
      if (known.get(`${pull.digest} ${pull.startedAt}`) !== stateOf(pull))
        out.write(`${cells(pull).join('  ').trimEnd()}\n`);
    }
    known = next;
  };
}
