import type { Scenario } from '../scenario.ts';
import { admission } from './admission.ts';
import { custom } from './custom.ts';
import { deletions } from './deletions.ts';
import { discovery } from './discovery.ts';
import { kinds } from './kinds.ts';
import { objects } from './objects.ts';
import { reads } from './reads.ts';
import { refusals } from './refusals.ts';
import { rights } from './rights.ts';
import { servicesScenarios } from './services.ts';
import { views } from './views.ts';

/** All scenarios; a new request file gets its line here. */
export const scenarios: readonly Scenario[] = [
  ...admission,
  ...custom,
  ...deletions,
  ...discovery,
  ...kinds,
  ...objects,
  ...reads,
  ...refusals,
  ...rights,
  ...servicesScenarios,
  ...views,
];
