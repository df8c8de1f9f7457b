import { isDeepStrictEqual } from 'node:util';
import { placeOf, refused } from './refusal.ts';

const DEPTH_MAX = 100;
const MARK = '\uFEFF';
const SPACE = /[ \t\r\n]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON allows none of them in a string.
const TEXT = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORD = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** Where an object or a list of the text stands. */
interface Span {
  /** Just behind its bracket. */
  readonly inside: number;
  /** Where its first member begins; undefined when it is empty. */
  readonly first: number | undefined;
}

/** What of a JSON text has to be known to change it in place. */
interface Outline {
  readonly top: Span;
  /** The objects and lists among the members of the top object, by key. */
  readonly members: ReadonlyMap<string, Span | undefined>;
}

/**
 * Puts a word first in the list under a key of a JSON object, and makes list and object where there are none; all else
 * stays as it is, spaces and all. Undefined when the list holds it already. Throws with line and column on what is no JSON.
 */
export function addFirst(text: string, key: string, word: string, file: string): string | undefined {
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const lead = text.startsWith(MARK) ? MARK : '';
  if (text.slice(lead.length).trim() === '') return `${text}{${end}  "${key}": ["${word}"]${end}}${end}`;
  const outline = outlineOf(text, lead.length, file);
  const before = JSON.parse(text.slice(lead.length)) as Readonly<Record<string, unknown>>;
  const list = before[key];
  if (list !== undefined && !isListOfWords(list))
    throw refused(`${file}: "${key}" is no list of words; correct it first`);
  if (list?.some((item) => item.replace(/\/$/, '') === word)) return undefined;
  const span = outline.members.get(key);
  const after = span
    ? withFirst(text, span, `"${word}"`, '')
    : withFirst(text, outline.top, `"${key}": ["${word}"]`, `${end}  `);
  const expected = { ...before, [key]: [word, ...(list ?? [])] };
  if (!isDeepStrictEqual(JSON.parse(after.slice(lead.length)), expected))
    throw new Error(`${file} was not changed as meant`);
  return after;
}

/** The value of a JSON text; undefined when there is none. Throws with line and column on what is no JSON object. */
export function readJson(text: string, file: string): Readonly<Record<string, unknown>> {
  const start = text.startsWith(MARK) ? MARK.length : 0;
  if (text.slice(start).trim() === '') return {};
  outlineOf(text, start, file);
  return JSON.parse(text.slice(start));
}

function isListOfWords(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** In a container that is empty, the member stands on a line of its own when `alone` is one. */
function withFirst(text: string, { inside, first }: Span, member: string, alone: string): string {
  if (first === undefined) {
    const close = inside + text.slice(inside).search(/\S/);
    return `${text.slice(0, inside)}${alone}${member}${alone.trimEnd() === alone ? '' : alone.replace(/ +$/, '')}${text.slice(close)}`;
  }
  const space = text.slice(inside, first);
  return `${text.slice(0, first)}${member},${space || ' '}${text.slice(first)}`;
}

/** Reads the text as strictly as dockerd does. */
function outlineOf(text: string, start: number, file: string): Outline {
  let at = start;
  const fault = (what: string): never => {
    throw refused(`${file} is no JSON: ${what} at ${placeOf(text, at)}; correct it first, nothing was changed`);
  };
  const skip = () => {
    SPACE.lastIndex = at;
    SPACE.test(text);
    at = SPACE.lastIndex;
  };
  const take = (pattern: RegExp, what: string): string => {
    pattern.lastIndex = at;
    const [found = fault(`${what} is missing`)] = pattern.exec(text) ?? [];
    at += found.length;
    return found;
  };
  const expect = (character: string) => {
    if (text[at] !== character) fault(`"${character}" is missing`);
    at += 1;
  };
  /** Members up to the closing bracket, each read by `member`. */
  const container = (close: string, member: () => void): Span => {
    at += 1;
    const inside = at;
    skip();
    if (text[at] === close) {
      at += 1;
      return { inside, first: undefined };
    }
    const first = at;
    for (;;) {
      member();
      skip();
      if (text[at] === close) break;
      if (text[at] !== ',') fault(`"," or "${close}" is missing`);
      at += 1;
      skip();
    }
    at += 1;
    return { inside, first };
  };
  const value = (depth: number): Span | undefined => {
    skip();
    if (depth > DEPTH_MAX) fault('too much nesting');
    if (text[at] === '[') return container(']', () => value(depth + 1));
    if (text[at] === '{') return object(depth, () => {});
    if (text[at] === '"') take(TEXT, 'the end of a string');
    else take(WORD, 'a value');
    return undefined;
  };
  const object = (depth: number, see: (key: string, span: Span | undefined) => void): Span =>
    container('}', () => {
      skip();
      const key = JSON.parse(take(TEXT, 'a key in quotes')) as string;
      skip();
      expect(':');
      see(key, value(depth + 1));
    });

  skip();
  if (text[at] !== '{') fault('"{" is missing');
  const members = new Map<string, Span | undefined>();
  const top = object(0, (key, span) => {
    if (members.has(key)) fault(`the key "${key.slice(0, 64)}" stands twice`);
    members.set(key, span);
  });
  skip();
  if (at < text.length) fault('there is more behind the end');
  return { top, members };
}
