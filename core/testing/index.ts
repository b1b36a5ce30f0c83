/** A whole cluster on virtual time, for tests: `const w = await world({ seed: 1 })`. What plugin authors get of it is in author/. */

export { freshImage, type StoreImage } from './image.ts';
export type { Checker, InvariantName, MakeChecker, Violation } from './invariants/checker.ts';
export type { Weather } from './network.ts';
export { type Outcome, type RunOptions, runScenario } from './run.ts';
export { type Fault, generateScenario, type Scenario, type Step } from './scenario.ts';
export { shrinkScenario } from './shrink.ts';
export { type ProcessName, type World, type WorldOptions, world } from './world.ts';
