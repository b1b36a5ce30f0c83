import type { KubeObject } from '#api';
import type { Strategy } from '#sdk';
import * as admission from './admission-registration.ts';
import { apiServiceStrategy } from './api-service.ts';
import * as certificates from './certificates.ts';
import { podDisruptionBudgetStrategy, priorityClassStrategy, runtimeClassStrategy } from './classes.ts';
import { componentStatusStrategy } from './component-status.ts';
import { configMapStrategy } from './config-map.ts';
import { endpointSliceStrategy } from './endpoint-slice.ts';
import { endpointsStrategy } from './endpoints.ts';
import { eventStrategy, eventsEventStrategy } from './event.ts';
import { flowSchemaStrategy, priorityLevelStrategy } from './flow-control.ts';
import { leaseStrategy } from './lease.ts';
import { limitRangeStrategy } from './limit-range.ts';
import { namespaceStrategy } from './namespace.ts';
import { ingressClassStrategy, ipAddressStrategy, serviceCidrStrategy } from './networking/classes.ts';
import { ingressStrategy } from './networking/ingress.ts';
import { networkPolicyStrategy } from './networking/network-policy.ts';
import { nodeStrategy } from './node.ts';
import { persistentVolumeClaimStrategy, persistentVolumeStrategy } from './persistent-volumes.ts';
import { podStrategy } from './pod.ts';
import { podTemplateStrategy } from './pod-template.ts';
import * as rbac from './rbac.ts';
import { replicationControllerStrategy } from './replication-controller.ts';
import * as resource from './resource.ts';
import { resourceQuotaStrategy } from './resource-quota.ts';
import { secretStrategy } from './secret.ts';
import { serviceStrategy } from './service.ts';
import { serviceAccountStrategy } from './service-account.ts';
import * as storage from './storage.ts';
import { storageVersionMigrationStrategy } from './storage-migration.ts';

/** The built-in kinds that are stored. */
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
  limitRangeStrategy,
  resourceQuotaStrategy,
  persistentVolumeStrategy,
  persistentVolumeClaimStrategy,
  podTemplateStrategy,
  componentStatusStrategy,
  eventsEventStrategy,
  endpointSliceStrategy,
  leaseStrategy,
  rbac.roleStrategy,
  rbac.roleBindingStrategy,
  rbac.clusterRoleStrategy,
  rbac.clusterRoleBindingStrategy,
  certificates.certificateSigningRequestStrategy,
  certificates.clusterTrustBundleStrategy,
  certificates.podCertificateRequestStrategy,
  admission.mutatingWebhookConfigurationStrategy,
  admission.validatingWebhookConfigurationStrategy,
  admission.validatingAdmissionPolicyStrategy,
  admission.validatingAdmissionPolicyBindingStrategy,
  admission.mutatingAdmissionPolicyStrategy,
  admission.mutatingAdmissionPolicyBindingStrategy,
  apiServiceStrategy,
  priorityClassStrategy,
  runtimeClassStrategy,
  podDisruptionBudgetStrategy,
  flowSchemaStrategy,
  priorityLevelStrategy,
  storage.storageClassStrategy,
  storage.volumeAttachmentStrategy,
  storage.csiDriverStrategy,
  storage.csiNodeStrategy,
  storage.csiStorageCapacityStrategy,
  storage.volumeAttributesClassStrategy,
  storageVersionMigrationStrategy,
  ingressStrategy,
  ingressClassStrategy,
  networkPolicyStrategy,
  ipAddressStrategy,
  serviceCidrStrategy,
  resource.deviceClassStrategy,
  resource.deviceTaintRuleStrategy,
  resource.resourceClaimStrategy,
  resource.resourceClaimTemplateStrategy,
  resource.resourceSliceStrategy,
] as unknown as readonly Strategy<KubeObject>[];
