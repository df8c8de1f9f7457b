/** Shows the point on one machine: `npm run demo`, with `-- --hosts 8 --size 64MiB --json`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatSize, liveLines, type Output, paint, parseSize } from '../packages/agent/src/index.ts';
import { startStaticOrigin } from '../test/lab/static-origin.ts';
import {
  all,
  type Gifts,
  giftsAmong,
  type Host,
  type Hosts,
  launch,
  look,
  makeKey,
  type Progress,
  publish,
  pull,
  RATE,
  requireRoom,
  type Stage,
  watch,
} from './demo-hosts.ts';

const HOSTS_MAX = 16;
const SIZE_MIN = 2 ** 20;
const SIZE_MAX = 2 ** 30;
const DRAW_EVERY_MS = 100;
/** The demo may take a minute and so many times as long as its bytes need. */
const PATIENCE = 3;
const BAR_CELLS = 40;
const SHORT_BAR_CELLS = 10;
const MIB = 2 ** 20;
const LEVELS = '▁▂▃▄▅▆▇█';

interface Options {
  readonly hosts: number;
  readonly size: number;
  readonly isJson: boolean;
}

/** Where it happens, and where it is told. */
type Shown = Stage & { readonly out: Output };

/** How one pull through all hosts went. */
interface Run {
  readonly originBytes: number;
  /** How many times the origin sent the image. */
  readonly egress: number;
  readonly slowestSeconds: number;
  readonly seconds: Readonly<Record<string, number>>;
}

/** What `--json` prints. */
interface Figures {
  readonly hosts: number;
  readonly imageBytes: number;
  readonly bytesPerSecond: number;
  readonly alone: Run;
  readonly swarm: Run & { readonly gave: Gifts };
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'string') {
    console.error(`demo: ${options}\nusage: npm run demo -- [--hosts N] [--size SIZE] [--json]`);
    return 2;
  }
  // The agents take their settings from the demo, not from whoever starts it.
  for (const name of Object.keys(process.env)) if (name.startsWith('DRAYAGE_')) delete process.env[name];
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => stop.abort(new Error('interrupted')));
  process.stdout.on('error', () => stop.abort(new Error('nobody reads what it prints')));
  const boundSeconds = Math.ceil(60 + (PATIENCE * options.hosts * options.size) / RATE);
  const late = AbortSignal.timeout(boundSeconds * 1000);
  try {
    const out = outputOf(options);
    const figures = await demo(options, out, AbortSignal.any([stop.signal, late]));
    if (options.isJson) console.log(JSON.stringify(figures));
    else out.write(picture(out, figures));
    return 0;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (stop.signal.aborted) console.error('demo: ended early; its agents and files are gone');
    else console.error(`demo: ${late.aborted ? `not done after ${boundSeconds} s` : why}`);
    return stop.signal.aborted ? 130 : 1;
  }
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        hosts: { type: 'string', default: '8' },
        size: { type: 'string', default: '64MiB' },
        json: { type: 'boolean', default: false },
      },
    });
    const hosts = Number(values.hosts);
    const size = parseSize(values.size);
    if (!Number.isInteger(hosts) || hosts < 2 || hosts > HOSTS_MAX) return `--hosts is 2 to ${HOSTS_MAX}`;
    if (size < SIZE_MIN || size > SIZE_MAX) return '--size is 1MiB to 1GiB';
    return { hosts, size, isJson: values.json };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function outputOf({ isJson }: Options): Output {
  const { stdout } = process;
  const isTerminal = stdout.isTTY === true && !isJson && process.env['TERM'] !== 'dumb';
  return {
    isTerminal,
    isColoured: isTerminal && !process.env['NO_COLOR'],
    columns: () => stdout.columns ?? 80,
    rows: () => stdout.rows ?? 24,
    write: (text) => void (isJson || stdout.write(text)),
  };
}

async function demo({ hosts, size }: Options, out: Output, signal: AbortSignal): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'drayage-demo-'));
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  await requireRoom(folder, hosts * size);
  const origin = stack.use(await startStaticOrigin());
  origin.bytesPerSecond = RATE;
  const stage: Shown = { folder, origin, out, ...publish(origin, size) };
  const names = Array.from({ length: hosts }, (_, at) => String.fromCharCode(65 + at));
  const key = join(folder, 'swarm.key');
  await makeKey(key);

  out.write(`\n  ${hosts} hosts pull one image of ${formatSize(stage.size)}, all at the same time.\n`);
  out.write(
    `  The origin sends ${RATE / 1e6} MB/s at most; each host gives the others ${RATE / 1e6} MB/s at most.\n\n`,
  );
  const pullBy = async (title: string, hosts: Hosts) => {
    await using running = hosts;
    const live = out.isTerminal ? liveLines(out) : undefined;
    live?.draw([`  ${paint(out, 'grey', 'the agents start …')}`]);
    const ready = await running.ready;
    live?.draw([]);
    const run = await pullByAll(title, ready, stage, signal);
    return { ...run, gave: await giftsAmong(ready, signal) };
  };
  const { gave: _, ...alone } = await pullBy('Each on its own', launch(names, stage, undefined, signal));
  const swarm = await pullBy('As a swarm', launch(names, stage, key, signal));
  return { hosts, imageBytes: stage.size, bytesPerSecond: RATE, alone, swarm };
}

/** Lets all hosts pull at once, and tells of it meanwhile. */
async function pullByAll(title: string, hosts: readonly Host[], stage: Shown, signal: AbortSignal): Promise<Run> {
  const { origin, size, out } = stage;
  const before = origin.bytes;
  const startedAt = performance.now();
  const elapsed = () => (performance.now() - startedAt) / 1000;
  const rows = hosts.map((host): Progress => ({ host, fromOrigin: 0, fromHosts: 0, seconds: undefined }));
  const over = new AbortController();
  const telling = tell(out, { title, size, rows, elapsed, sent: () => origin.bytes - before });
  const watching = out.isTerminal ? rows.map((row) => watch(row, over.signal)) : [];
  const pullOne = async (row: Progress) => {
    await pull(row.host, stage, signal);
    row.seconds = elapsed();
    if (out.isTerminal) await look(row, signal);
    telling.done(row);
  };
  try {
    await all(rows.map(pullOne));
  } finally {
    over.abort();
    await all(watching);
    telling.end();
  }
  const seconds = Object.fromEntries(rows.map(({ host, seconds }) => [host.name, seconds ?? 0]));
  const originBytes = origin.bytes - before;
  return { originBytes, egress: originBytes / size, slowestSeconds: Math.max(...Object.values(seconds)), seconds };
}

interface Course {
  readonly title: string;
  readonly size: number;
  readonly rows: readonly Progress[];
  readonly elapsed: () => number;
  /** What the origin has sent so far. */
  readonly sent: () => number;
}

interface Telling {
  done(row: Progress): void;
  end(): void;
}

/** A bar for each host on a terminal; else a line for each that is done. */
function tell(out: Output, course: Course): Telling {
  const { title, size, rows, elapsed, sent } = course;
  const total = () => `the origin has sent ${formatSize(sent())}, ${times(sent() / size)} the image`;
  if (!out.isTerminal) {
    out.write(`  ${title}\n`);
    return {
      done: ({ host, seconds = 0 }) => out.write(`    ${host.name} has it all after ${seconds.toFixed(1)} s\n`),
      end: () => out.write(`    ${total()}\n\n`),
    };
  }
  const live = liveLines(out);
  const draw = () => {
    const head = `  ${paint(out, 'bold', title.padEnd(17))}${elapsed().toFixed(1).padStart(5)} s   ${total()}`;
    live.draw([head, ...rows.map((row) => rowText(out, row, size)), `     ${legend(out)}`]);
  };
  const timer = setInterval(draw, DRAW_EVERY_MS);
  return {
    done: draw,
    end: () => {
      clearInterval(timer);
      draw();
      out.write('\n');
    },
  };
}

/** One host: what came from the origin, what from other hosts, what is to come. */
function rowText(out: Output, { host, fromOrigin, fromHosts, seconds }: Progress, size: number): string {
  const has = fromOrigin + fromHosts;
  // A fill that begins again brings more than the image has.
  const cells = seconds === undefined ? Math.floor(Math.min(has / size, 1) * BAR_CELLS) : BAR_CELLS;
  const ofOrigin = has > 0 ? Math.round((fromOrigin / has) * cells) : 0;
  const bar = [
    paint(out, 'yellow', '█'.repeat(ofOrigin)),
    paint(out, 'green', '▓'.repeat(cells - ofOrigin)),
    paint(out, 'grey', '░'.repeat(BAR_CELLS - cells)),
  ];
  const right = seconds === undefined ? paint(out, 'grey', formatSize(has)) : `✓ ${seconds.toFixed(1)} s`;
  return `  ${host.name}  ${bar.join('')}  ${right}`;
}

function legend(out: Output): string {
  return `${paint(out, 'yellow', '█')} from the origin  ${paint(out, 'green', '▓')} from other hosts`;
}

/** What came of it: who gave whom what, and the two runs side by side. */
function picture(out: Output, { imageBytes, alone, swarm }: Figures): string {
  const row = (what: string, one: string, two: string) => `  ${what.padEnd(22)}${one.padStart(18)}${two.padStart(18)}`;
  const sent = ({ originBytes, egress }: Run) => `${formatSize(originBytes)}  ${times(egress)}`;
  const slowest = ({ slowestSeconds }: Run) => `${slowestSeconds.toFixed(1)} s`;
  const command = paint(out, 'bold', 'drayage explain IMAGE');
  return [
    `  ${paint(out, 'bold', 'Who gave whom how many MiB')}`,
    '',
    ...matrix(out, swarm.gave),
    '',
    paint(out, 'bold', row('', 'each on its own', 'as a swarm')),
    row('the origin sent', sent(alone), sent(swarm)),
    row('the slowest host took', slowest(alone), slowest(swarm)),
    '',
    `  Every host checked every digest of its ${formatSize(imageBytes)}.`,
    `  On your own hosts ${command} tells where each byte of a pull came from.`,
    '',
    '',
  ].join('\n');
}

/** Givers down, receivers across; each number with a mark of its size. */
function matrix(out: Output, gave: Gifts): readonly string[] {
  const givers = Object.keys(gave);
  const names = givers.filter((name) => name.length === 1);
  const most = Math.max(...givers.flatMap((giver) => Object.values(gave[giver] ?? {})));
  const totals = new Map(givers.map((giver) => [giver, sum(names.map((name) => gave[giver]?.[name] ?? 0))]));
  const total = Math.max(...totals.values());
  const rows = givers.map((giver) => {
    const colour = giver === 'origin' ? 'yellow' : 'green';
    const cell = (name: string) => {
      const bytes = gave[giver]?.[name] ?? 0;
      if (bytes < MIB / 20) return paint(out, 'grey', '·'.padStart(7));
      const level = LEVELS[Math.ceil((bytes / most) * LEVELS.length) - 1] ?? '';
      return ` ${paint(out, colour, level)} ${mib(bytes).padStart(4)}`;
    };
    const all = totals.get(giver) ?? 0;
    const bar = paint(out, colour, '█'.repeat(Math.round((all / total) * SHORT_BAR_CELLS)));
    return `  ${giver.padEnd(6)}${names.map(cell).join('')}  ${mib(all).padStart(5)} ${bar}`.trimEnd();
  });
  const received = names.map((name) => mib(sum(givers.map((giver) => gave[giver]?.[name] ?? 0))).padStart(7));
  const heading = `  ${'to'.padEnd(6)}${names.map((name) => name.padStart(7)).join('')}  ${'gave'.padStart(5)}`;
  return [paint(out, 'grey', heading), ...rows, paint(out, 'grey', `  ${'got'.padEnd(6)}${received.join('')}`)];
}

function mib(bytes: number): string {
  const amount = bytes / MIB;
  return amount.toFixed(amount < 10 ? 1 : 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, number) => all + number, 0);
}

function times(factor: number): string {
  return `${factor.toFixed(factor < 10 ? 2 : 1)}×`;
}
