import { accept, refuse, type SchedulerPlugin } from '#sdk';
import { tolerated } from './tolerations.ts';

const taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

/** A cordoned node takes only pods that tolerate it. */
export const nodeUnschedulable: SchedulerPlugin = {
  name: 'NodeUnschedulable',
  retryOn: ['node'],
  filter: (pod, { node }) =>
    !node.spec?.unschedulable || tolerated(pod, taint) ? accept : refuse('node(s) were unschedulable'),
};
