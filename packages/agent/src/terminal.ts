import type { Output } from './command.ts';

const CODES = { bold: 1, red: 31, green: 32, yellow: 33, cyan: 36, grey: 90 } as const;
export type Colour = keyof typeof CODES;

const BAR_CELLS = 24;
const MEMBER_CHARS = 10;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** The text in a colour, where colours are wanted. */
export function paint(output: Output, colour: Colour, text: string): string {
  return output.isColoured ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}

/** Rows under a heading, columns as wide as their widest cell. */
export function table(output: Output, heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return `${[paint(output, 'bold', line(heading)), ...rows.map(line)].join('\n')}\n`;
}

/** A member's name as people read it: the beginning is the same for all. */
export function shortMember(member: string): string {
  return member.length > MEMBER_CHARS ? `…${member.slice(-MEMBER_CHARS)}` : member;
}

/** A bar of fixed width that is full at 1. */
export function bar(share: number): string {
  const eighths = Math.round(Math.min(Math.max(share, 0), 1) * BAR_CELLS * 8);
  const full = '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
  return full.padEnd(BAR_CELLS, '░');
}

/** Lines that are drawn over themselves; for terminals only. */
export interface LiveLines {
  draw(lines: readonly string[]): void;
}

/** Draws each set of lines where the one before stood. */
export function liveLines(output: Output): LiveLines {
  let drawn = 0;
  return {
    draw: (lines) => {
      const width = output.columns();
      const up = drawn > 0 ? `\u001b[${drawn}A` : '';
      // What has scrolled off the top cannot be drawn over.
      const shown = lines.slice(-Math.max(output.rows() - 1, 1));
      output.write(`${up}\u001b[J${shown.map((line) => `${clip(line, width)}\n`).join('')}`);
      drawn = shown.length;
    },
  };
}

/** A line that wrapped would be drawn twice; colours take no room. */
function clip(line: string, width: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the codes that `paint` writes begin with one.
  const parts = line.split(/(\u001b\[\d+m)/);
  let room = width - 1;
  return parts
    .map((part) => {
      if (part.startsWith('\u001b')) return part;
      const shown = part.slice(0, Math.max(room, 0));
      room -= part.length;
      return shown;
    })
    .join('');
}
