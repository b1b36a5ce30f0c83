import { errors, type Pod } from '#api';
import type { AdmissionHook } from '../contract.ts';

const tolerated = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];
const tolerationSeconds = 300;
/** The two classes that every cluster has. */
const systemPriorities: Readonly<Record<string, number>> = {
  'system-node-critical': 2_000_001_000,
  'system-cluster-critical': 2_000_000_000,
};

/** A pod stays 5 minutes on a node that went away, and has a priority. */
export const podDefaults: AdmissionHook = {
  name: 'PodDefaults',
  mutate({ operation, kind, subresource, object, name }) {
    if (operation !== 'CREATE' || kind.plural !== 'pods' || kind.group || subresource || !object) return;
    const { spec } = object as typeof object & Pod;
    if (!spec) return;
    for (const key of tolerated) {
      const known = spec.tolerations?.some(
        (toleration) =>
          (!toleration.key || toleration.key === key) && (!toleration.effect || toleration.effect === 'NoExecute'),
      );
      if (!known) {
        spec.tolerations = [
          ...(spec.tolerations ?? []),
          { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds },
        ];
      }
    }
    const priority = spec.priorityClassName ? systemPriorities[spec.priorityClassName] : 0;
    if (priority === undefined) {
      throw errors.forbidden('pods', name, `no PriorityClass with name ${spec.priorityClassName} was found`);
    }
    spec.priority = priority;
    spec.preemptionPolicy ??= 'PreemptLowerPriority';
  },
};
