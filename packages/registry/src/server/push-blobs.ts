import { type BlobStore, type Catalog, Failure, type Report, repositoryKey } from '@drayage/core';
import type { Caller, OriginRepository, Origins } from '../origin/types.ts';
import type { Answer } from './answer.ts';
import { refusedBy } from './push-answer.ts';
import type { ClientBody } from './push-body.ts';
import { type Carrier, carrierOf, goesOn, keptAnswer } from './push-carrier.ts';
import type { UploadStep, UploadTarget } from './push-target.ts';
import { keepSessions, type Sessions } from './upload-sessions.ts';

/** Takes uploads to their origin, step by step, and keeps on this disk what goes by. */
export interface PushBlobs extends AsyncDisposable {
  answer(wanted: WantedUpload, signal: AbortSignal): Promise<Answer>;
}

/** One step of an upload, by whoever may push. */
export interface WantedUpload extends UploadTarget {
  readonly caller: Caller;
  readonly body: ClientBody;
  readonly contentRange: string | undefined;
  /** What the client appends to paths to say which origin it means; empty when the path says it. */
  readonly query: string;
}

export interface PushBlobsParts {
  readonly origins: Origins;
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly report: Report;
  readonly now: () => number;
}

/** A step with what it takes. */
export interface Step extends Omit<WantedUpload, 'step' | 'kind' | 'caller'> {
  readonly key: string;
  readonly remote: OriginRepository;
}

export function openPushBlobs(parts: PushBlobsParts): PushBlobs {
  const sessions = keepSessions(parts.now);
  const carrier = carrierOf({ ...parts, sessions });
  return {
    async answer({ step, caller, ...wanted }, signal) {
      const { origin, path } = wanted.repository;
      const taken: Step = {
        ...wanted,
        key: repositoryKey(wanted.repository),
        remote: parts.origins.repository(origin, path, caller),
      };
      if (step.verb === 'begin') return await begin({ ...parts, sessions, carrier }, taken, step, signal);
      return await sessions.use(step.session, taken.key, (session) => {
        if (step.verb === 'append') return carrier.append(taken, session, signal);
        if (step.verb === 'finish') return carrier.finish(taken, session, step.digest, signal);
        return carrier.ask(taken, session, step.verb, signal);
      });
    },
    async [Symbol.asyncDispose]() {
      await carrier[Symbol.asyncDispose]();
      await sessions[Symbol.asyncDispose]();
    },
  };
}

interface BeginParts {
  readonly catalog: Catalog;
  readonly sessions: Sessions;
  readonly carrier: Carrier;
}

async function begin(
  { catalog, sessions, carrier }: BeginParts,
  step: Step,
  { digest, mount }: Extract<UploadStep, { verb: 'begin' }>,
  signal: AbortSignal,
): Promise<Answer> {
  const { key, remote, body } = step;
  const from = mount?.from === undefined ? '' : `&from=${mount.from}`;
  const to = `blobs/uploads/${mount ? `?mount=${mount.digest}${from}` : ''}`;
  const pushed = await remote.push({ method: 'POST', to, from: mount?.from }, signal);
  if (pushed.status === 201 && mount) {
    catalog.note(mount.digest, { repository: key });
    return keptAnswer(step, mount.digest);
  }
  if (pushed.status !== 202) return refusedBy(remote.origin, pushed);
  if (!pushed.next) throw new Failure('origin_unavailable', `${remote.origin} does not say where the upload goes on`);
  const session = sessions.begin(key, pushed.next);
  if (digest === undefined || !body.isExpected) return goesOn(step, session, pushed, 202);
  // The origin may ask for a credential only while no bytes are on their way: so the client's one request becomes two.
  return await sessions.use(session.id, key, (held) => carrier.finish(step, held, digest, signal));
}
