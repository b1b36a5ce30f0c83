import type { SchedulerPlugin } from '#sdk';
import { nodeAffinity } from './node-affinity.ts';
import { nodeName } from './node-name.ts';
import { nodePorts } from './node-ports.ts';
import { nodeResourcesBalanced, nodeResourcesFit } from './node-resources.ts';
import { nodeUnschedulable } from './node-unschedulable.ts';
import { selectorSpread } from './selector-spread.ts';
import { taintToleration } from './taint-toleration.ts';
import { unsupportedConstraints } from './unsupported.ts';

/** The ordered list: the first rule that refuses a node gives the reason. */
export const rules: readonly SchedulerPlugin[] = [
  unsupportedConstraints,
  nodeUnschedulable,
  nodeName,
  taintToleration,
  nodeAffinity,
  nodePorts,
  nodeResourcesFit,
  nodeResourcesBalanced,
  selectorSpread,
];
