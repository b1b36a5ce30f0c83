export * from './contributions.ts';
export * from './crd.ts';
export * from './hook-calls.ts';
export type * from './needs.ts';
export * from './plugin.ts';
export * from './reconcile.ts';
export * from './resources.ts';
export * from './schema.ts';
export * from './start.ts';
