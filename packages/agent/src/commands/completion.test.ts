import { execFileSync, spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { COMMANDS } from '../commands.ts';
import { command } from '../fake-admin.ts';

/** What bash itself offers for a command line whose last word is being typed. */
async function offered(...words: readonly string[]): Promise<string[]> {
  const { out } = await command(undefined, 'completion', 'bash');
  const line = words.map((word) => `'${word}'`).join(' ');
  const script = `${out}\nCOMP_WORDS=(drayage ${line})\nCOMP_CWORD=${words.length}\n_drayage\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['--norc', '-c', script], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

test('bash completes every command', async () => {
  expect(await offered('')).toEqual(COMMANDS.map(({ name }) => name));
  expect(await offered('do')).toEqual(['doctor']);
});

test('bash completes what follows a command: the words it takes, and its own options', async () => {
  expect(await offered('setup', 'd')).toEqual(['docker']);
  expect(await offered('setup', '--u')).toEqual(['--undo']);
  expect(await offered('key', 'n')).toEqual(['new']);
  expect(await offered('completion', 'z')).toEqual(['zsh']);
  expect(await offered('status', '--swarm')).toEqual([]);
  expect(await offered('agent', '--swarm')).toContain('--swarm-key-file');
});

test('what an option takes is left to the shell, which knows the files', async () => {
  expect(await offered('setup', 'docker', '--root', '')).toEqual([]);
  expect(await offered('agent', '--swarm-key-file', '--')).toEqual([]);
  expect(await offered('setup', '--undo', 'd')).toEqual(['docker']);
});

test('fish completes the same, and offers files only where one is wanted', async ({ skip }) => {
  const { out } = await command(undefined, 'completion', 'fish');
  const offeredBy = (line: string) => {
    const { error, stdout } = spawnSync('fish', ['--no-config', '-c', `${out}\ncomplete -C '${line}'`], {
      encoding: 'utf8',
      cwd: import.meta.dirname,
    });
    if (error) skip('fish is not installed, and has completed nothing');
    return stdout.split('\n').flatMap((found) => found.split('\t')[0] || []);
  };
  expect(offeredBy('drayage ').sort()).toEqual(COMMANDS.map(({ name }) => name).sort());
  expect(offeredBy('drayage setup docker --un')).toEqual(['--undo']);
  expect(offeredBy('drayage key n')).toEqual(['new']);
  expect(offeredBy('drayage status ')).toEqual([]);
  expect(offeredBy('drayage agent --config completion.test')).toEqual(['completion.test.ts']);
  expect(offeredBy('drayage key new completion.test')).toEqual(['completion.test.ts']);
});

test('programs get the script in JSON, as from every command', async () => {
  const { out } = await command(undefined, 'completion', 'zsh');
  const json = await command(undefined, 'completion', 'zsh', '--json');
  expect(JSON.parse(json.out)).toEqual({ shell: 'zsh', script: out });
});

test.for(['zsh', 'fish'])('%s reads a script that has every command and option', async (shell, { skip }) => {
  const { out } = await command(undefined, 'completion', shell);
  for (const { name, flags } of COMMANDS) {
    expect(out).toContain(name);
    for (const { flag } of flags) expect(out).toContain(shell === 'fish' ? `-l ${flag} ` : `--${flag}`);
  }
  const { error, status, stderr } = spawnSync(shell, ['-n', '-c', out], { encoding: 'utf8' });
  if (error) skip(`${shell} is not installed, and has not read it`);
  expect([status, stderr]).toEqual([0, '']);
});

test('a shell that is not known is told which are', async () => {
  expect(await command(undefined, 'completion', 'cmd')).toMatchObject({
    code: 2,
    err: expect.stringContaining('there is no "cmd": bash, zsh, fish'),
  });
  expect(await command(undefined, 'completion')).toMatchObject({ code: 2, err: expect.stringContaining('missing') });
});
