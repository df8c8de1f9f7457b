import type { Artifact } from './images.ts';
import { imageFor } from './images.ts';

/** A program that pulls images through the agent, as its users would have set it up. */
export interface Client extends AsyncDisposable {
  readonly name: string;
  /** Throws when the pull fails, with what the program said. */
  pull(reference: string): Promise<void>;
  /** The digest of the configuration of the image it holds: it covers every byte of every layer. */
  configDigest(reference: string): Promise<string>;
  /** What the image printed; undefined for programs that do not run containers. */
  run(reference: string): Promise<string | undefined>;
  /** Forgets every image. */
  wipe(): Promise<void>;
}

/** Throws unless the client's image is the one of this architecture in the artifact. */
export async function expectImage(client: Client, reference: string, artifact: Artifact): Promise<void> {
  const expected = imageFor(artifact).config.digest;
  const actual = await client.configDigest(reference);
  if (actual !== expected) throw new Error(`${client.name} holds ${actual} as ${reference}, not ${expected}`);
}
