import { accept, refuse, type SchedulerPlugin } from '#sdk';

/** Constraints that no rule honours yet keep a pod from being placed: a constraint is never silently ignored. */
export const unsupportedConstraints: SchedulerPlugin = {
  name: 'UnsupportedConstraints',
  filter(pod) {
    const affinity = pod.spec?.affinity;
    const field = affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length
      ? 'spec.affinity.podAffinity'
      : affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.length
        ? 'spec.affinity.podAntiAffinity'
        : pod.spec?.topologySpreadConstraints?.some((one) => one.whenUnsatisfiable === 'DoNotSchedule')
          ? 'spec.topologySpreadConstraints'
          : undefined;
    return field ? refuse(`node(s) cannot be judged by ${field}: this scheduler does not support it yet`) : accept;
  },
};
