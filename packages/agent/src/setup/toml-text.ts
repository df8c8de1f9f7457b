import { isDeepStrictEqual } from 'node:util';
import { parse, TomlError } from 'smol-toml';
import { refused } from './refusal.ts';

export type Table = Readonly<Record<string, unknown>>;

const BARE_KEY = /^[A-Za-z0-9_-]+$/;
const HEADER = /^[ \t]*\[((?:[^[\]"']|"[^"]*"|'[^']*')+)\][ \t]*(?:#.*)?\r?$/;
const ANY_HEADER = /^[ \t]*\[/;
const KEY_PART = /[ \t]*(?:([A-Za-z0-9_-]+)|"([^"\\]*)"|'([^']*)')[ \t]*(\.|$)/y;

/** The value of a TOML text. Throws with line and column on what is none. */
export function readToml(text: string, file: string): Table {
  try {
    return parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ''] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    const place = `line ${error.line}, column ${error.column}`;
    throw refused(`${file} is no TOML: ${what} at ${place}; correct it first, nothing was changed`, error);
  }
}

/** What stands under these keys; undefined when one of them is not there. */
export function valueAt(table: unknown, keys: readonly string[]): unknown {
  let value = table;
  for (const key of keys) value = isTable(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}

export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The text with a value under a key of a table, and nothing else changed. Undefined where only a person can do that. */
export function withValue(text: string, table: readonly string[], key: string, value: string): string | undefined {
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const line = `${key} = ${JSON.stringify(value)}`;
  const lines = text.split('\n');
  const header = lines.findIndex((candidate) => isDeepStrictEqual(keysOfHeader(candidate), table));
  const changed = header < 0 ? appended(text, table, line, end) : within(lines, header, key, line);
  return changesOnly([...table, key], value, text, changed) ? changed : undefined;
}

/** The text with some lines before its first table, where what they say comes before what any table says. */
export function beforeTables(text: string, block: string): string {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => ANY_HEADER.test(line));
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const own = block.replaceAll('\n', end);
  if (at < 0) return `${endedBy(text, end)}${text === '' ? '' : end}${own}`;
  // Comments right above a table belong to it.
  let first = at;
  while (first > 0 && /^[ \t]*#/.test(lines[first - 1] ?? '')) first -= 1;
  const head = lines.slice(0, first);
  return `${head.map((line) => `${line}\n`).join('')}${own}${end}${lines.slice(first).join('\n')}`;
}

function appended(text: string, table: readonly string[], line: string, end: string): string {
  const name = table.map((key) => (BARE_KEY.test(key) ? key : `"${key}"`)).join('.');
  return `${endedBy(text, end)}${text.trim() === '' ? '' : end}[${name}]${end}  ${line}${end}`;
}

function endedBy(text: string, end: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}${end}`;
}

function within(lines: readonly string[], header: number, key: string, line: string): string {
  const next = lines.findIndex((candidate, at) => at > header && ANY_HEADER.test(candidate));
  const body = lines.slice(header + 1, next < 0 ? undefined : next);
  const assignment = new RegExp(
    `^([ \\t]*)(?:${key}|"${key}"|'${key}')[ \\t]*=[ \\t]*(?:"[^"\\\\]*"|'[^']*')(.*)$`,
    's',
  );
  const at = body.findIndex((candidate) => assignment.test(candidate));
  const copy = [...lines];
  if (at >= 0) {
    copy[header + 1 + at] = (body[at] ?? '').replace(assignment, (_all, indent, rest) => `${indent}${line}${rest}`);
    return copy.join('\n');
  }
  const indent = /^[ \t]*/.exec(lines[header] ?? '')?.[0] ?? '';
  const carriage = lines[header]?.endsWith('\r') ? '\r' : '';
  // A header on the last line has no end of line yet.
  if (header === lines.length - 1) copy.push('');
  copy.splice(header + 1, 0, `${indent}  ${line}${carriage}`);
  return copy.join('\n');
}

/** The keys a line opens a table with; undefined when it opens none. */
function keysOfHeader(line: string): readonly string[] | undefined {
  const inside = HEADER.exec(line)?.[1]?.trim();
  if (inside === undefined) return undefined;
  const keys: string[] = [];
  KEY_PART.lastIndex = 0;
  while (KEY_PART.lastIndex < inside.length) {
    const [, bare, double, single] = KEY_PART.exec(inside) ?? [];
    const key = bare ?? double ?? single;
    if (key === undefined) return undefined;
    keys.push(key);
  }
  return keys;
}

/** Whether the one text says what the other does, but for this value: what was edited by lines is proven by meaning. */
function changesOnly(keys: readonly string[], value: string, before: string, after: string): boolean {
  try {
    const changed = readToml(after, '');
    return (
      valueAt(changed, keys) === value && isDeepStrictEqual(without(changed, keys), without(readToml(before, ''), keys))
    );
  } catch {
    return false;
  }
}

/** A table without a value, nor the tables that held nothing else. */
function without(table: Table, [key = '', ...rest]: readonly string[]): Table {
  const { [key]: inner, ...others } = table;
  if (rest.length === 0 || !isTable(inner)) return others;
  const left = without(inner, rest);
  return Object.keys(left).length === 0 ? others : { ...others, [key]: left };
}
