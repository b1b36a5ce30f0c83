import type { MakeChecker } from './checker.ts';
import { linearReads, oneWinner, risingVersions, survival } from './store.ts';
import { wholeWatches } from './watch.ts';
import { noOvercommit, noStorm, noSurplus, onePlace, uniqueAddresses } from './workload.ts';

export const checkers: readonly MakeChecker[] = [
  survival,
  risingVersions,
  linearReads,
  wholeWatches,
  oneWinner,
  onePlace,
  noSurplus,
  noOvercommit,
  uniqueAddresses,
  noStorm,
];
