import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandLines, startCommandLines } from '../lab/command-lines.ts';
import { treeOf } from '../lab/tree.ts';
import { type Figures, type Proof, seeded } from './proof.ts';
import { type Case, containerdCase, dockerCase, podmanCase } from './setup-cases.ts';
import { setUpRuntimes } from './setup-runtimes.ts';

const SEED = 20_261_125;
const CASES = 400;
const CASES_SHORT = 100;
const KINDS = [dockerCase, containerdCase, podmanCase];

/** What setup does to a host it undoes to the last byte, and what it points at the agent pulls through it. */
export const setup: Proof = {
  name: 'setup',
  title: 'setup and --undo on made-up hosts, then dockerd, containerd and podman themselves',
  needs: ['dockerd', 'docker', 'docker-registry', 'containerd', 'ctr', 'runc', 'podman', 'openssl', 'busybox'],
  run: async (folder, short) => {
    const chance = seeded(SEED);
    const tally = { done: 0, refused: 0, wrong: [] as string[] };
    {
      await using commands = startCommandLines();
      for (let at = 0; at < (short ? CASES_SHORT : CASES); at += 1) {
        for (const kind of KINDS) await tryCase(kind(chance), join(folder, 'root'), { commands, tally });
      }
    }
    const figures: Figures = { hosts: tally.done + tally.refused, refused: tally.refused, wrong: tally.wrong.length };
    assert.equal(tally.wrong.length, 0, `${JSON.stringify(figures)}\n${tally.wrong.slice(0, 5).join('\n')}`);
    return { ...figures, ...(await setUpRuntimes(join(folder, 'runtimes'))) };
  },
};

interface Bench {
  readonly commands: CommandLines;
  readonly tally: { done: number; refused: number; readonly wrong: string[] };
}

async function tryCase(made: Case, root: string, { commands, tally }: Bench): Promise<void> {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(join(root, 'etc', folderOf(made)), { recursive: true });
  made.place(root);
  const before = treeOf(root);
  const run = (...words: readonly string[]) => commands.run('setup', made.runtime, '--root', root, ...words);
  const wrong = (what: string, said: { out: string; err: string }) =>
    tally.wrong.push(`${made.runtime} ${what}: ${made.title}\n  ${said.out}${said.err}`);

  const dry = await run('--offline', '--dry-run');
  if (treeOf(root).join() !== before.join()) wrong('a dry run changed something', dry);
  const first = await run('--offline');
  const isDone = first.code === 0;
  if (isDone === made.isRefused) return void wrong(made.isRefused ? 'was not refused' : 'was refused', first);
  if (made.isRefused) {
    tally.refused += 1;
    if (!/nothing was changed|run this again|rewrite it|correct it first/.test(first.err))
      wrong('said too little', first);
    if (treeOf(root).join() !== before.join()) wrong('was refused and changed something', first);
    return;
  }
  tally.done += 1;
  for (const [path, holds] of Object.entries(made.expected)) {
    const text = textAt(root, path);
    if (holds ? text === undefined || !holds(text) : text !== undefined) wrong(`${path} is not as it should be`, first);
  }
  const after = treeOf(root);
  const again = await run('--offline');
  if (again.code !== 0 || treeOf(root).join() !== after.join()) wrong('a second run changed something', again);
  const undone = await run('--undo');
  const now = treeOf(root);
  if (undone.code !== 0 || now.join() !== before.join()) {
    const lost = before.filter((line) => !now.includes(line));
    const left = now.filter((line) => !before.includes(line));
    wrong(`was not undone: lost ${lost.join(', ')}; left ${left.join(', ')}`, undone);
  }
}

function folderOf({ runtime }: Case): string {
  return { docker: 'docker', containerd: 'containerd', podman: 'containers' }[runtime];
}

/** Links lead where they would on that host. */
function textAt(root: string, path: string): string | undefined {
  const linked = join(root, 'srv/config', path);
  const real = existsSync(linked) ? linked : join(root, path);
  return existsSync(real) ? readFileSync(realpathSync(real), 'utf8') : undefined;
}
