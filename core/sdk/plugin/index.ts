export * from './contributions.ts';
export * from './crd.ts';
export { Deadlines, type LateReconciles } from './deadline.ts';
export { assumeKinds, type Discover } from './foreign.ts';
export * from './hook-calls.ts';
export { type HookedKind, isUnhooked, resourceName } from './hooked-kind.ts';
export * from './live-objects.ts';
export * from './needs.ts';
export * from './node-calls.ts';
export * from './plugin.ts';
export * from './reconcile.ts';
export * from './resources.ts';
export * from './rest.ts';
export * from './rest-watches.ts';
export {
  type RuntimeAnswer,
  type RuntimeAsked,
  type RuntimeVerb,
  runtimeVerbs,
  type StreamAsked,
  type StreamItem,
  type StreamPiece,
} from './runtime-calls.ts';
export * from './schema.ts';
export * from './start.ts';
