/** One thing that was looked at. */
export interface Finding {
  readonly about: string;
  readonly state: 'good' | 'warning' | 'bad';
  /** What was found, in words. */
  readonly finding: string;
  /** What to do about it. */
  readonly advice?: string;
}
