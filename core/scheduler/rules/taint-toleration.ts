import { accept, refuse, type SchedulerPlugin } from '#sdk';
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
  score(pod, { node }) {
    const soft = (node.spec?.taints ?? []).filter(
      (taint) => taint.effect === 'PreferNoSchedule' && !tolerated(pod, taint),
    );
    return Math.max(0, 100 - 25 * soft.length);
  },
};
