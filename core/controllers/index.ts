import { type ControllerSpec, specOf } from '#sdk';
import { clusterRoleAggregationController } from './clusterrole-aggregation.ts';
import { disruptionController } from './disruption.ts';
import { endpointsController } from './endpoints.ts';
import { garbageController } from './garbage.ts';
import { mirroringController } from './mirroring.ts';
import { namespaceController } from './namespace.ts';
import { nodeLifecycleController } from './node-lifecycle.ts';
import { podGarbageController } from './pod-gc.ts';
import { replicationController } from './replication.ts';
import { resourceQuotaController } from './resource-quota.ts';
import { serviceCidrController } from './service-cidr.ts';
import { serviceAccountController } from './serviceaccount.ts';
import { storageMigrationController } from './storage-migration.ts';

export interface CoreControllersOptions {
  /** PEM of the certificate authority that pods shall trust. */
  readonly rootCa: string;
  /** A node that is not heard of for this long is Unknown. Default 40,000; a kubelet must renew at least three times in it. */
  readonly nodeGraceMs?: number;
  /** Finished pods that are kept. Default 12,500. */
  readonly finishedPodsMax?: number;
}

/** The controllers without which a cluster is none. */
export const coreControllers = (options: CoreControllersOptions): ControllerSpec<never>[] => [
  specOf(replicationController),
  specOf(endpointsController),
  specOf(mirroringController),
  specOf(serviceAccountController(options.rootCa)),
  specOf(serviceCidrController),
  specOf(namespaceController),
  specOf(nodeLifecycleController(options.nodeGraceMs ?? 40_000)),
  specOf(podGarbageController(options.finishedPodsMax ?? 12_500)),
  specOf(garbageController),
  specOf(clusterRoleAggregationController),
  specOf(resourceQuotaController),
  specOf(disruptionController),
  specOf(storageMigrationController),
];
