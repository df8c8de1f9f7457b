import type { Authority } from '../lab/certificates.ts';
import type { Fixtures } from '../lab/fixtures.ts';
import type { Origin } from '../lab/origin.ts';

/** What a scenario finds set up: the origin, its images, and a folder of its own. */
export interface Stage {
  readonly folder: string;
  readonly origin: Origin;
  readonly images: Fixtures;
  readonly authority: Authority;
}

/** One thing users rely on, shown with real programs. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly boundSeconds: number;
  /** Programs it starts. */
  readonly needs: readonly string[];
  run(stage: Stage): Promise<void>;
}
