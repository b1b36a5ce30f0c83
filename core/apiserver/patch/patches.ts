import type { Patches } from '../contract.ts';
import { serverSideApply, trackUpdate, trackUpdateInSteps } from './apply.ts';
import { applyJsonPatch } from './json.ts';
import { applyMergePatch } from './merge.ts';
import { applyStrategicPatch } from './strategic.ts';

/** Everything that changes a document by less than the whole of it. */
export const patches: Patches = {
  applyJsonPatch,
  applyMergePatch,
  applyStrategicPatch,
  serverSideApply,
  trackUpdate,
  trackUpdateInSteps,
};
