export * from './facts.ts';
export type * from './gen/types.ts';
export * from './kinds.ts';
export * from './meta.ts';
export * from './quantity.ts';
export * from './selectors.ts';
export type { Status, StatusCause, StatusDetails } from './status.ts';
export * from './status.ts';
