import type { BlobStore } from '@drayage/core';
import type { EventSink } from './sse.ts';

const PROGRESS_MS = 100;

/** Hashes every sealed blob again; `sink` hears of each corrupt one, and of the sums at the end. */
export async function verifyStore(store: BlobStore, now: () => number, sink: EventSink): Promise<void> {
  const startedAt = now();
  const blobs = store.list();
  const totalBytes = blobs.reduce((all, { size }) => all + size, 0);
  const counts = { sound: 0, corrupt: 0, unknown: 0 };
  let bytes = 0;
  const state = () => ({ ...counts, blobs: blobs.length, bytes, totalBytes });
  sink.tell('start', state());
  const progress = setInterval(() => sink.progress('progress', state()), PROGRESS_MS);
  try {
    for (const { digest, size } of blobs) {
      const verdict = await store.verify(digest, sink.signal);
      counts[verdict] += 1;
      bytes += size;
      if (verdict === 'corrupt') sink.tell('corrupt', { digest, size });
    }
  } finally {
    clearInterval(progress);
  }
  sink.tell('done', { ...state(), seconds: (now() - startedAt) / 1000 });
}
