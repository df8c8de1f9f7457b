export { type FakeRemote, fakeRemote } from './fake-remote.ts';
export { memoryStore } from './memory-store.ts';
export { readFrom, storeContract } from './store-contract.ts';
