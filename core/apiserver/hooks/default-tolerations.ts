import type { Pod } from '#api';
import type { AdmissionHook } from '../contract.ts';

const tolerated = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];
export const tolerationSecondsDefault = 300;

/** A pod stays so long on a node that went away, unless it says otherwise. */
export const defaultTolerations = (seconds: () => number): AdmissionHook => ({
  name: 'DefaultTolerationSeconds',
  mutate({ operation, kind, subresource, object }) {
    // Updates too, as upstream: a pod that is posted again as it was first written is no change of its tolerations.
    if (
      (operation !== 'CREATE' && operation !== 'UPDATE') ||
      kind.plural !== 'pods' ||
      kind.group ||
      subresource ||
      !object
    )
      return;
    const { spec } = object as typeof object & Pod;
    if (!spec) return;
    for (const key of tolerated) {
      const known = spec.tolerations?.some(
        (toleration) =>
          (!toleration.key || toleration.key === key) && (!toleration.effect || toleration.effect === 'NoExecute'),
      );
      if (known) continue;
      spec.tolerations = [
        ...(spec.tolerations ?? []),
        { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: seconds() },
      ];
    }
  },
});
