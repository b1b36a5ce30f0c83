import type { SchedulerPlugin } from '#sdk';
import { nodeAffinity } from './node-affinity.ts';
import { nodeName } from './node-name.ts';
import { podAffinity } from './pod-affinity.ts';
import { ports } from './ports.ts';
import { balancedAllocation, leastAllocated, resources } from './resources.ts';
import { spreading } from './spreading.ts';
import { taints, unschedulable } from './taints.ts';

/** In the order in which they are asked; the first refusal of a node is its reason. */
export const coreRules: readonly SchedulerPlugin[] = [
  unschedulable,
  nodeName,
  taints,
  nodeAffinity,
  ports,
  resources,
  podAffinity,
  spreading,
  leastAllocated,
  balancedAllocation,
];
