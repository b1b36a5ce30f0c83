import type { KubeObject } from '#api';
import type { Strategy } from '#sdk';
import { configMapStrategy } from './config-map.ts';
import { endpointSliceStrategy } from './endpoint-slice.ts';
import { endpointsStrategy } from './endpoints.ts';
import { eventStrategy } from './event.ts';
import { leaseStrategy } from './lease.ts';
import { namespaceStrategy } from './namespace.ts';
import { nodeStrategy } from './node.ts';
import { podStrategy } from './pod.ts';
import { replicationControllerStrategy } from './replication-controller.ts';
import { secretStrategy } from './secret.ts';
import { serviceStrategy } from './service.ts';
import { serviceAccountStrategy } from './service-account.ts';

/** The built-in kinds, in the order in which discovery lists them. */
export const strategies = [
  namespaceStrategy,
  nodeStrategy,
  podStrategy,
  replicationControllerStrategy,
  serviceStrategy,
  endpointsStrategy,
  eventStrategy,
  configMapStrategy,
  secretStrategy,
  serviceAccountStrategy,
  endpointSliceStrategy,
  leaseStrategy,
] as unknown as readonly Strategy<KubeObject>[];
