export * from './events.ts';
export * from './reconciler.ts';
export * from './runtime.ts';
export * from './scheduling.ts';
export * from './strategy.ts';
