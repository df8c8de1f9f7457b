import type { Span } from '@drayage/core';

const RANGE_CHARS_MAX = 128;
const SINGLE = /^bytes=(\d*)-(\d*)$/i;

/**
 * The part of a blob that a Range header asks for. Undefined, the whole blob, when there is no header, or one that is
 * malformed or names several ranges: the specification lets a server ignore those, and every client copes with a 200.
 */
export function parseRange(header: string | undefined, size: number): Span | 'unsatisfiable' | undefined {
  if (header === undefined || header.length > RANGE_CHARS_MAX) return undefined;
  const found = SINGLE.exec(header.replaceAll(' ', ''));
  if (!found) return undefined;
  const [, first = '', last = ''] = found;
  if (first === '') return last === '' ? undefined : suffix(Number(last), size);
  const start = Number(first);
  const end = last === '' ? size : Number(last) + 1;
  if (end <= start && last !== '') return undefined;
  return start < size ? { start, end: Math.min(end, size) } : 'unsatisfiable';
}

function suffix(count: number, size: number): Span | 'unsatisfiable' {
  return count > 0 && size > 0 ? { start: Math.max(0, size - count), end: size } : 'unsatisfiable';
}
