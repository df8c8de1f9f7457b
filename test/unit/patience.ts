import { vi } from 'vitest';

/** Milliseconds that a condition gets. The usual second is less than a busy machine may keep a process waiting. */
const PATIENCE_MS = 10_000;

const { waitFor } = vi;
vi.waitFor = (condition, options = {}) =>
  waitFor(condition, typeof options === 'number' ? options : { timeout: PATIENCE_MS, ...options });
