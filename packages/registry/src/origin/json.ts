/** Undefined when the text is no JSON object. */
export function parseObject(json: string): object | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The object under a key, if there is one. */
export function field(from: object | undefined, key: string): object | undefined {
  const value = memberOf(from, key);
  return isObject(value) ? value : undefined;
}

/** The string under a key, if there is one. */
export function text(from: object | undefined, key: string): string | undefined {
  const value = memberOf(from, key);
  return typeof value === 'string' ? value : undefined;
}

/** The list under a key, if there is one. */
export function list(from: object | undefined, key: string): readonly unknown[] | undefined {
  const value = memberOf(from, key);
  return Array.isArray(value) ? value : undefined;
}

/** The number under a key, if there is one. */
export function number(from: object | undefined, key: string): number | undefined {
  const value = memberOf(from, key);
  return typeof value === 'number' ? value : undefined;
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Own properties only: `constructor` is no key that anyone sent. */
function memberOf(from: object | undefined, key: string): unknown {
  return from && Object.hasOwn(from, key) ? (from as Readonly<Record<string, unknown>>)[key] : undefined;
}
