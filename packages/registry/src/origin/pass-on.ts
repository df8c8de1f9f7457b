import { headerOf, readWhole } from './answer.ts';
import type { Answer } from './line.ts';
import type { PassedOn } from './types.ts';

const BYTES_MAX = 4 * 1024 * 1024;
const CONTENT_TYPE = /^[a-z0-9.+-]{1,64}\/[a-z0-9.+-]{1,128}(?:; ?charset=[a-z0-9-]{1,32})?$/i;
const FILTERS = /^[A-Za-z0-9,._ -]{1,255}$/;

/** An answer whose bytes are the client's business, with the few headers that belong to them. */
export async function passOn(origin: string, answer: Answer): Promise<PassedOn> {
  const bytes = await readWhole(origin, answer, BYTES_MAX);
  const matching = (name: string, grammar: RegExp) => {
    const value = headerOf(answer, name);
    return value !== undefined && grammar.test(value) ? value : undefined;
  };
  return {
    status: answer.status,
    contentType: matching('content-type', CONTENT_TYPE),
    link: answer.foreign ? undefined : nextLink(headerOf(answer, 'link'), answer.url),
    filtersApplied: matching('oci-filters-applied', FILTERS),
    bytes,
  };
}

/** The parameters of a tag list that are passed on. */
export function tagsQuery(query: string): string {
  return chosen(query, { n: /^\d{1,6}$/, last: /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/ });
}

/** The parameters of a referrers list that are passed on. */
export function referrersQuery(query: string): string {
  return chosen(query, { artifactType: /^[\x21-\x7e]{1,255}$/, n: /^\d{1,6}$/, last: /^[\x21-\x7e]{1,255}$/ });
}

/** The link to the next page as a path at this origin; a link to anywhere else is dropped, for a client would follow it. */
function nextLink(link: string | undefined, from: URL): string | undefined {
  const target = /^<([^<>]{1,2048})>; ?rel="?next"?$/.exec(link ?? '')?.[1];
  const url = target === undefined ? null : URL.parse(target, from.href);
  if (!url || url.origin !== from.origin || url.pathname !== from.pathname) return undefined;
  return `<${url.pathname}${url.search}>; rel="next"`;
}

function chosen(query: string, grammars: Readonly<Record<string, RegExp>>): string {
  const given = new URLSearchParams(query);
  const kept = new URLSearchParams();
  for (const [name, grammar] of Object.entries(grammars)) {
    const value = given.get(name);
    if (value !== null && grammar.test(value)) kept.set(name, value);
  }
  return kept.size > 0 ? `?${kept}` : '';
}
