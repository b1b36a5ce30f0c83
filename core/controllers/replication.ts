import { type KubeObject, matchesSet, type ReplicationController, replicationControllerKind } from '#api';
import { replicasController } from '#sdk';

export const replicationController = replicasController<ReplicationController & KubeObject>({
  name: 'replication-controller',
  kind: replicationControllerKind,
  selector: (controller) => (labels) => matchesSet(controller.spec?.selector, labels),
});
