import { StatusError } from '#api';
import type { Patches } from './contract.ts';
import { applyJsonPatch } from './patch/json.ts';
import { applyMergePatch } from './patch/merge.ts';
import { applyStrategicPatch } from './patch/strategic.ts';

/** The patch types of this server. Fields are not tracked per manager yet, so server-side apply says that it is absent. */
export const patches: Patches = {
  applyJsonPatch,
  applyMergePatch,
  applyStrategicPatch,
  serverSideApply() {
    throw new StatusError(501, 'NotImplemented', 'server-side apply is not built into this server yet');
  },
  trackUpdate() {},
};
