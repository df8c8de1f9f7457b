/** Runs on a host of the lab and does there what the tests ask of it. */
import { type PullOrder, pullImage } from './pull-image.ts';
import { readBody } from './read-body.ts';

/** What can be asked. */
export type Errand =
  | { readonly kind: 'pull'; readonly order: PullOrder }
  | { readonly kind: 'get'; readonly address: string };

/** What comes back for an errand of the same number. */
export interface ErrandResult {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

process.on('message', ({ id, errand }: { id: number; errand: Errand }) => {
  const reply = (rest: Omit<ErrandResult, 'id'>) => void process.send?.({ id, ...rest });
  carryOut(errand).then(
    (result) => reply({ result }),
    (error: unknown) => reply({ error: error instanceof Error ? error.message : String(error) }),
  );
});
// Whoever asks is gone: so is the reason to be here.
process.on('disconnect', () => process.exit());
process.send?.({ id: 0 });

async function carryOut(errand: Errand): Promise<unknown> {
  if (errand.kind === 'pull') return pullImage(errand.order);
  const parts: Buffer[] = [];
  const { status } = await readBody(errand.address, '*/*', (part) => void parts.push(Buffer.from(part)));
  return { status, text: Buffer.concat(parts).toString('utf8') };
}
