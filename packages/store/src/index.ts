export { openStore, type Store, type StoreParts } from './open-store.ts';
