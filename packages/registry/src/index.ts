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
export { dialer } from './proxy/dial.ts';
export { openIssuer } from './proxy/issuer.ts';
export { type ForwardProxy, type ProxyParts, startProxy } from './proxy/proxy.ts';
export { type Others, routesTo } from './proxy/routes.ts';
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
