import type { Pod, Taint } from '#api';
import { accept, refuse, type SchedulerPlugin } from '#sdk';

export function tolerates(pod: Readonly<Pod>, taint: Readonly<Taint>): boolean {
  return (pod.spec?.tolerations ?? []).some((toleration) => {
    if (toleration.effect && toleration.effect !== taint.effect) return false;
    if (toleration.key && toleration.key !== taint.key) return false;
    switch (toleration.operator || 'Equal') {
      case 'Exists':
        return true;
      case 'Equal':
        return !!toleration.key && (toleration.value ?? '') === (taint.value ?? '');
      case 'Gt':
        return Number(taint.value) > Number(toleration.value);
      case 'Lt':
        return Number(taint.value) < Number(toleration.value);
      default:
        return false;
    }
  });
}
const intolerable = (pod: Readonly<Pod>, taints: readonly Taint[] | undefined, effects: readonly string[]): number =>
  (taints ?? []).filter((taint) => effects.includes(taint.effect) && !tolerates(pod, taint)).length;

export const unschedulable: SchedulerPlugin = {
  name: 'NodeUnschedulable',
  retryOn: ['node'],
  filter: (pod, { node }) =>
    !node.spec?.unschedulable || tolerates(pod, { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' })
      ? accept
      : refuse('node(s) were unschedulable'),
};
export const taints: SchedulerPlugin = {
  name: 'TaintToleration',
  retryOn: ['node'],
  filter: (pod, { node }) =>
    intolerable(pod, node.spec?.taints, ['NoSchedule', 'NoExecute']) === 0
      ? accept
      : refuse('node(s) had untolerated taint(s)'),
  score: (pod, { node }) => 100 / (1 + intolerable(pod, node.spec?.taints, ['PreferNoSchedule'])),
  weight: 3,
};
