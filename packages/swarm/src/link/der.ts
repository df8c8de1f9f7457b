/** One element of a DER encoding. */
export interface Element {
  readonly tag: number;
  readonly bytes: Buffer;
}

const LONG_FORM = 0x80;

/** The elements inside the one element that these bytes are, which has this tag; throws when they are not that. */
export function elements(bytes: Buffer, tag: number): Element[] {
  const [outer, ...others] = elementsIn(bytes);
  if (outer?.tag !== tag || others.length > 0) throw new Error(`expected one DER element with the tag ${tag}`);
  return elementsIn(outer.bytes);
}

/** The elements that follow one another in these bytes; throws when they do not fill them exactly. */
export function elementsIn(bytes: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes.readUInt8(at);
    const short = bytes.readUInt8(at + 1);
    const lengthBytes = short < LONG_FORM ? 0 : short - LONG_FORM;
    if (lengthBytes > 2 || short === LONG_FORM) throw new Error('a DER length that is not understood');
    const start = at + 2 + lengthBytes;
    const end = start + (lengthBytes === 0 ? short : bytes.readUIntBE(at + 2, lengthBytes));
    if (end > bytes.length) throw new Error('a DER element beyond the end');
    found.push({ tag, bytes: bytes.subarray(start, end) });
    at = end;
  }
  return found;
}
