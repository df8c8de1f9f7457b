/** What proves to an origin who asks. */
export type Credential =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** A token of the registry's own that buys access tokens. */
  | { readonly kind: 'identity'; readonly token: string };

/** The Basic form of a password. */
export function basic({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
