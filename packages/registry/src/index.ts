export { type CheckedManifest, type Child, checkManifest, MANIFEST_TYPES } from './origin/manifest.ts';
export { type OriginsParts, startOrigins } from './origin/origins.ts';
export type {
  Caller,
  CredentialSettings,
  GatedOrigins,
  Manifest,
  ManifestHead,
  OriginRepository,
  OriginSettings,
  OriginStatus,
  Origins,
} from './origin/types.ts';
export { type Endpoint, type EndpointParts, startEndpoint } from './server/endpoint.ts';
export type { Address } from './server/listener.ts';
export {
  type AccessPolicy,
  type OriginRules,
  type Policies,
  type Policy,
  PROOF_MAX,
  type ProofRule,
  policies,
  type RepositoryRules,
  type TagRule,
} from './server/policy.ts';
