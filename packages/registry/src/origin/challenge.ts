const HEADER_CHARS_MAX = 8192;
const CHALLENGES_MAX = 16;
const SCHEME = /[\s,]*([A-Za-z][A-Za-z0-9-]*)(?=[\s,]|$)/y;
const PARAMETER = /[\s,]*([A-Za-z][A-Za-z0-9_-]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))(?=[\s,]|$)/y;
const REPEATED = Symbol('repeated');

/** How an origin wants to be shown a credential. */
export type Challenge =
  | { readonly scheme: 'basic' }
  | {
      readonly scheme: 'bearer';
      readonly realm: string;
      readonly service: string | undefined;
      readonly scope: string | undefined;
      readonly error: string | undefined;
    };

/** The challenges of all WWW-Authenticate headers that can be understood; what is malformed is left out. */
export function parseChallenges(header: string | readonly string[] | undefined): readonly Challenge[] {
  const headers = typeof header === 'string' ? [header] : (header ?? []);
  return headers.flatMap(parseHeader).slice(0, CHALLENGES_MAX);
}

type Parameters = Map<string, string | typeof REPEATED>;

function parseHeader(text: string): readonly Challenge[] {
  if (text.length > HEADER_CHARS_MAX) return [];
  const found: { readonly scheme: string; readonly parameters: Parameters }[] = [];
  for (let at = 0; at < text.length; ) {
    PARAMETER.lastIndex = at;
    const parameter = PARAMETER.exec(text);
    const current = found.at(-1);
    if (parameter && current) {
      const [, name = '', quoted, plain] = parameter;
      const key = name.toLowerCase();
      const value = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '';
      current.parameters.set(key, current.parameters.has(key) ? REPEATED : value);
      at = PARAMETER.lastIndex;
      continue;
    }
    SCHEME.lastIndex = at;
    const scheme = SCHEME.exec(text);
    // What cannot be read makes all before it in this header doubtful, for it may be half of something.
    if (!scheme) return /^[\s,]*$/.test(text.slice(at)) ? understood(found) : [];
    found.push({ scheme: (scheme[1] ?? '').toLowerCase(), parameters: new Map() });
    at = SCHEME.lastIndex;
  }
  return understood(found);
}

function understood(found: readonly { scheme: string; parameters: Parameters }[]): readonly Challenge[] {
  return found.flatMap(({ scheme, parameters }): readonly Challenge[] => {
    if (scheme === 'basic') return [{ scheme }];
    const text = (name: string) => {
      const value = parameters.get(name);
      return typeof value === 'string' && /^[\x20-\x7e]{1,2048}$/.test(value) ? value : undefined;
    };
    const realm = text('realm');
    if (scheme !== 'bearer' || realm === undefined) return [];
    return [{ scheme, realm, service: text('service'), scope: text('scope'), error: text('error') }];
  });
}
