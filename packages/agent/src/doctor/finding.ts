import type { Output } from '../command.ts';
import { paint } from '../terminal.ts';

/** One thing that was looked at. */
export interface Finding {
  readonly about: string;
  readonly state: 'good' | 'warning' | 'bad';
  /** What was found, in words. */
  readonly finding: string;
  /** What to do about it. */
  readonly advice?: string;
}

const MARKS = { good: ['green', 'ok  '], warning: ['yellow', 'warn'], bad: ['red', 'bad '] } as const;

/** The findings as people read them, a line for each. */
export function formatFindings(findings: readonly Finding[], out: Output): string {
  return findings.map((finding, at) => format(finding, findings[at + 1], out)).join('');
}

function format({ about, state, finding, advice }: Finding, next: Finding | undefined, out: Output): string {
  const [colour, mark] = MARKS[state];
  // Advice that holds for several in a row stands once, under the last.
  const todo =
    advice === undefined || advice === next?.advice ? '' : `${' '.repeat(6)}${paint(out, 'bold', 'do:')} ${advice}\n`;
  return `${paint(out, colour, mark)}  ${about}: ${finding}\n${todo}`;
}
