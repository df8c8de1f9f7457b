// Prints the table of options for README.md, between its markers; with --check, fails when README.md has another.
import { readFileSync, writeFileSync } from 'node:fs';
import { CONFIG_FLAG, CONFIG_HELP, OPTIONS } from '../packages/agent/src/index.ts';

const README = new URL('../README.md', import.meta.url);
const MARKERS = /(<!-- options -->\n)([\s\S]*?)(<!-- \/options -->)/;

const rows = [{ ...CONFIG_FLAG, help: CONFIG_HELP }, ...Object.values(OPTIONS)].map(
  ({ flag, env, value, fallback, help }) =>
    `| \`--${flag} ${value}\` | ${env === undefined ? '' : `\`${env}\``} | ${fallback} | ${help} |`,
);
const table = `\n| option | environment | default | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n\n`;

const readme = readFileSync(README, 'utf8');
if (!MARKERS.test(readme)) {
  console.error('README.md has no <!-- options --> … <!-- /options -->');
  process.exit(1);
}
const next = readme.replace(MARKERS, (_, start: string, _old: string, end: string) => start + table + end);
if (!process.argv.includes('--check')) {
  writeFileSync(README, next);
} else if (next !== readme) {
  console.error('the options in README.md are not those of the agent; run: node scripts/options-table.ts');
  process.exit(1);
}
