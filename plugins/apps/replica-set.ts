import { matchesLabels, type Replicated, replicasController, selectorOf } from '#sdk';
import { type ReplicaSet, replicaSetKind } from './kinds.ts';

export const replicaSetController = replicasController<ReplicaSet & Replicated>({
  name: 'replicaset-controller',
  kind: replicaSetKind as never,
  tellsTerminating: true,
  selector: ({ spec }) => {
    const selector = selectorOf(spec?.selector ?? {});
    return (labels) => spec?.selector !== undefined && matchesLabels(selector, labels);
  },
});
