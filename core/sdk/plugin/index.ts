export * from './crd.ts';
export { assumeKinds, type Discover } from './foreign.ts';
export type * from './needs.ts';
export * from './plugin.ts';
export * from './reconcile.ts';
export * from './resources.ts';
export * from './schema.ts';
export * from './start.ts';
