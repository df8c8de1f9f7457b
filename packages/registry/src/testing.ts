export { type GuardedRegistry, startGuardedRegistry } from './server/fake-guarded.ts';
export { type AddedImage, addImage } from './server/fake-parts.ts';
