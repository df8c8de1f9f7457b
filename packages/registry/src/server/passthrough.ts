import { Failure, repositoryKey } from '@drayage/core';
import type { OriginRepository, Origins, PassedOn } from '../origin/types.ts';
import type { Access, Question } from './access.ts';
import type { Answer } from './answer.ts';
import type { Asked } from './client-credential.ts';
import { within } from './flight.ts';
import { pageQuery, type Target } from './request.ts';

/** Passes questions for lists on to the origin: they are never kept. */
export type AnswerList = (wanted: List, path: string, signal: AbortSignal) => Promise<Answer>;

type List = Extract<Target, { kind: 'tags' | 'referrers' }> & Asked;

export interface ListParts {
  readonly origins: Origins;
  readonly access: Access;
}

const LIST_WAIT_MS = 8_000;
const LIST_TYPE = /^application\/(?:[a-z0-9.+-]+\+)?json$/;

export function listAnswers({ origins, access }: ListParts): AnswerList {
  return async (wanted, path, signal) => {
    const { repository, query } = wanted;
    const key = repositoryKey(repository);
    const list = (remote: OriginRepository, page: string, late: AbortSignal) =>
      wanted.kind === 'tags' ? remote.listTags(page, late) : remote.referrers(wanted.digest, page, late);
    const question: Question = {
      key: wanted.kind,
      digest: undefined,
      missing: 'name_unknown',
      ask: async (remote, late) => {
        const said = await list(remote, '', late);
        return said && isList(said) ? said : undefined;
      },
    };
    const caller = await access.admit(wanted, question, signal);
    const remote = origins.repository(repository.origin, repository.path, caller);
    const said = await within(LIST_WAIT_MS, `listing ${wanted.kind} of ${key}`, (late) => list(remote, query, late));
    if (!said) throw new Failure('name_unknown', `${repository.origin} has no list of ${wanted.kind} for ${key}`);
    return listAnswer(said, path);
  };
}

function listAnswer(said: PassedOn, path: string): Answer {
  const { status, contentType, link, filtersApplied, bytes } = said;
  const type = typeOf(contentType);
  if (!isList(said)) {
    throw new Failure('origin_unavailable', `the origin answered a list with status ${status} and type ${type}`);
  }
  const headers: Record<string, string | number> = { 'Content-Type': type, 'Content-Length': bytes.length };
  const next = link === undefined ? undefined : nextPage(link, path);
  if (next !== undefined) headers['Link'] = next;
  if (filtersApplied === 'artifactType') headers['OCI-Filters-Applied'] = filtersApplied;
  return { status, headers, body: bytes, source: 'origin' };
}

function isList({ status, contentType }: PassedOn): boolean {
  return status === 200 && LIST_TYPE.test(typeOf(contentType));
}

function typeOf(contentType = ''): string {
  return contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** The origin's link leads to the origin, so only its page is taken: the path is the one the client used. */
function nextPage(link: string, path: string): string | undefined {
  const [, query] = /^\s*<[^>?]*\?([^>]*)>\s*;\s*rel="?next"?/i.exec(link) ?? [];
  if (query === undefined) return undefined;
  const mark = path.indexOf('?');
  const namespace = mark < 0 ? null : new URLSearchParams(path.slice(mark + 1)).get('ns');
  const page = new URLSearchParams(pageQuery(new URLSearchParams(query)));
  if (namespace !== null) page.set('ns', namespace);
  return `<${mark < 0 ? path : path.slice(0, mark)}?${page}>; rel="next"`;
}
