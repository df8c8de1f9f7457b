const BYTES_PER_UNIT: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };
const NUMBER = String.raw`(\d{1,16}(?:\.\d{1,6})?)`;
const SIZE = new RegExp(`^${NUMBER} ?([KMGT]?i?B|)$`);
const DURATION = new RegExp(`^${NUMBER}(ms|s|m|h|d)$`);
const DURATION_MS_MAX = 3650 * 86_400e3;

/** Bytes of `10GiB`, `500MB` or `1048576`. Throws on anything else. */
export function parseSize(text: string): number {
  const [, amount, unit] = SIZE.exec(text) ?? [];
  const scale = scaleOf(BYTES_PER_UNIT, unit);
  const bytes = Math.floor(Number(amount) * scale);
  if (!Number.isSafeInteger(bytes)) throw new Error('not a size such as 10GiB, 500MB or 1048576');
  return bytes;
}

/** Bytes per second of `50MiB/s`. Throws on anything else. */
export function parseRate(text: string): number {
  if (!text.endsWith('/s')) throw new Error('not a rate such as 50MiB/s');
  return parseSize(text.slice(0, -2));
}

/** Milliseconds of `30s`, `5m`, `24h`, `7d` or `0`. Throws on anything else. */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  const [, amount, unit] = DURATION.exec(text) ?? [];
  const ms = Math.round(Number(amount) * scaleOf(MS_PER_UNIT, unit));
  if (!(ms <= DURATION_MS_MAX)) throw new Error('not a duration such as 30s, 5m, 24h or 7d');
  return ms;
}

/** A size as people read it: `12.3 MiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const scaled = bytes / 1024 ** step;
  return `${step === 0 || scaled >= 100 ? scaled.toFixed(0) : scaled.toFixed(1)} ${units[step]}`;
}

/** A span of time as people read it: `42s`, `3m 10s`, `2h 5m`, `4d 1h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return ms < 10_000 ? `${(ms / 1000).toFixed(1)}s` : `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

function scaleOf(scales: Readonly<Record<string, number>>, unit: string | undefined): number {
  return unit === undefined ? Number.NaN : (scales[unit] ?? Number.NaN);
}
