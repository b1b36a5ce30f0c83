import type { SchedulerPlugin } from '#sdk';
import { imageLocality } from './image-locality.ts';
import { nodeAffinity } from './node-affinity.ts';
import { nodeName } from './node-name.ts';
import { nodePorts } from './node-ports.ts';
import { nodeResourcesBalanced, nodeResourcesFit } from './node-resources.ts';
import { nodeUnschedulable } from './node-unschedulable.ts';
import { podAffinity } from './pod-affinity.ts';
import { taintToleration } from './taint-toleration.ts';
import { topologySpread } from './topology-spread.ts';
import { volumeBinding, volumeRestrictions } from './volumes.ts';

/** The ordered list, upstream's: the first rule that refuses a node gives the reason. */
export const rules: readonly SchedulerPlugin[] = [
  nodeName,
  nodeUnschedulable,
  taintToleration,
  nodeAffinity,
  nodePorts,
  nodeResourcesFit,
  volumeRestrictions,
  volumeBinding,
  topologySpread,
  podAffinity,
  nodeResourcesBalanced,
  imageLocality,
];
