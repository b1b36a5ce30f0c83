export * from './clock.ts';
export * from './converse.ts';
export * from './errors.ts';
export * from './exec.ts';
export * from './files.ts';
export * from './log.ts';
export * from './random.ts';
export type { RootStep } from './root.ts';
export * from './scope.ts';
