export * from './controller.ts';
export * from './plan.ts';
export * from './pods.ts';
export * from './refusals.ts';
