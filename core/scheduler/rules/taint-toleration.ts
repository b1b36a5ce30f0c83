import { accept, refuse, type SchedulerPlugin } from '#sdk';
import { byLargest } from './normalize.ts';
import { tolerated } from './tolerations.ts';

/** NoSchedule and NoExecute taints must be tolerated; every untolerated PreferNoSchedule taint costs. */
export const taintToleration: SchedulerPlugin = {
  name: 'TaintToleration',
  retryOn: ['node'],
  weight: 3,
  filter(pod, { node }) {
    const hard = (node.spec?.taints ?? []).find(
      (taint) => taint.effect !== 'PreferNoSchedule' && !tolerated(pod, taint),
    );
    return hard ? refuse('node(s) had untolerated taint(s)') : accept;
  },
  score: (pod, { node }) =>
    (node.spec?.taints ?? []).filter((taint) => taint.effect === 'PreferNoSchedule' && !tolerated(pod, taint)).length,
  normalize: (scores) => byLargest(scores, true),
};
