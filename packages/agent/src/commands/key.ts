import { resolve } from 'node:path';
import { Failure } from '@drayage/core';
import { type Call, EXIT } from '../command.ts';
import { makeSwarmKey, saveSwarmKey } from '../swarm-keys.ts';

/** Makes a swarm key, into a file or onto the standard output. */
export async function key(call: Call): Promise<number> {
  const { out, err } = call.around;
  const [what, file] = call.arguments.positionals;
  if (what !== 'new') throw new Failure('options_invalid', 'what there is: drayage key new [FILE]');
  const made = makeSwarmKey();
  if (file === undefined) {
    out.write(call.isJson ? `${JSON.stringify({ file: null, ...made })}\n` : `${made.key}\n`);
  } else {
    await saveSwarmKey(made.key, file);
    out.write(call.isJson ? `${JSON.stringify({ file: resolve(file), id: made.id })}\n` : `${resolve(file)}\n`);
  }
  if (call.isJson) return EXIT.done;
  const path = file === undefined ? 'FILE' : resolve(file);
  const first = file === undefined ? 'Keep it in a file that only the agent may read' : 'Keep it secret';
  err.write(`This is swarm key ${made.id}. ${first}: whoever has it is a member.\n`);
  err.write('Copy it to every host, then start the first agent, and the others with its name:\n');
  err.write(`  drayage agent --swarm-key-file ${path}\n  drayage agent --swarm-key-file ${path} --join FIRST-HOST\n`);
  return EXIT.done;
}
