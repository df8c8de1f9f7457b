import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROGUE_PATCHES } from '../lab/rogue.ts';

test.each(ROGUE_PATCHES)('what makes a member bad still finds its place in $file: $find', ({ file, find }) => {
  const source = readFileSync(join(import.meta.dirname, '../..', file), 'utf8');
  expect(source.split(find)).toHaveLength(2);
});
