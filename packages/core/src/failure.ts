/** Every way to fail that a caller could act on. README's troubleshooting list has a line for each. */
export const FAILURE_CODES = [
  'agent_unreachable',
  'blob_corrupt',
  'blob_lost',
  'blob_unavailable',
  'blob_unknown',
  'denied',
  'digest_invalid',
  'disk_failed',
  'manifest_invalid',
  'manifest_unknown',
  'member_unreachable',
  'name_invalid',
  'name_unknown',
  'options_invalid',
  'origin_unavailable',
  'range_invalid',
  'setup_refused',
  'store_in_use',
  'unauthorized',
  'unsupported',
  'upload_unknown',
] as const;

export type FailureCode = (typeof FAILURE_CODES)[number];

/** An expected failure. Anything else that is thrown is a bug. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly code: FailureCode;

  constructor(code: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Whether the error is a Failure, with this code when one is named. */
export function isFailure(error: unknown, code?: FailureCode): error is Failure {
  return error instanceof Failure && (code === undefined || error.code === code);
}

/** One line that says what happened, causes included, fit for a log or a person. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message || error.name;
  if (error.cause === undefined || error.cause === error) return own;
  const because = describe(error.cause);
  return own.includes(because) ? own : `${own}: ${because}`;
}
