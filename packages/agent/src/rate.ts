import { rateOf } from '@drayage/core';
import type { Origins } from '@drayage/registry';

/** The same origins, giving blobs no faster than so many bytes per second all together. */
export function limited<T extends Origins>(origins: T, bytesPerSecond: number, now: () => number): T {
  const rate = rateOf(bytesPerSecond, now);
  return {
    ...origins,
    repository: (origin, path, caller) => {
      const repository = origins.repository(origin, path, caller);
      return {
        ...repository,
        async *read(digest, span, signal) {
          for await (const chunk of repository.read(digest, span, signal)) {
            yield chunk;
            await rate.take(chunk.length, signal);
          }
        },
      };
    },
    [Symbol.asyncDispose]: () => origins[Symbol.asyncDispose](),
  };
}
