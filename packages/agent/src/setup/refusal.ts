import { Failure } from '@drayage/core';

/** Something that stands in the way of a change that would be safe: what it is, and what to do. */
export function refused(problem: string, cause?: unknown): Failure {
  return new Failure('setup_refused', problem, cause === undefined ? undefined : { cause });
}

/** Where in a text an offset lies, as people count: from 1. */
export function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return `line ${line}, column ${offset - before.lastIndexOf('\n')}`;
}
