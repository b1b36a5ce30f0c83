import type { Random } from '#base';
import type { CallWebhook } from '#sdk';
import type { AdmissionHook, Authorizer, Reader } from '../contract.ts';
import type { Core } from '../core.ts';
import { certificateRights } from './certificates.ts';
import { defaultIngressClass, defaultStorageClass } from './default-classes.ts';
import { defaultTolerations, tolerationSecondsDefault } from './default-tolerations.ts';
import { mutatingPolicies } from './dynamic/mutating-policies.ts';
import { validatingPolicies } from './dynamic/validating-policies.ts';
import { mutatingWebhooks, validatingWebhooks } from './dynamic/webhooks.ts';
import { limitRanger } from './limit-ranger.ts';
import { namespaceLifecycle } from './namespace-lifecycle.ts';
import { ownerReferenceRights } from './owner-references.ts';
import { podSecurity } from './pod-security/pod-security.ts';
import { priority } from './priority.ts';
import { rbacEscalation } from './rbac-escalation.ts';
import { resourceQuota } from './resource-quota.ts';
import { runtimeClass } from './runtime-class.ts';
import { serviceAccountHook } from './service-account.ts';

/** The chain that every write passes, in this order; the quota is charged last, when nothing else can refuse. */
export const builtinAdmission = (
  reader: Reader,
  random: Random,
  authorizer: Authorizer,
  core: () => Core,
  callWebhook: CallWebhook,
  more: readonly AdmissionHook[],
): AdmissionHook[] => [
  namespaceLifecycle(reader),
  limitRanger(reader),
  serviceAccountHook(reader, random),
  podSecurity(reader),
  priority(reader),
  defaultTolerations(() => core().options.tolerationSeconds ?? tolerationSecondsDefault),
  defaultStorageClass(reader),
  runtimeClass(reader),
  certificateRights(authorizer),
  defaultIngressClass(reader),
  ownerReferenceRights(authorizer, () => core().kinds),
  rbacEscalation(authorizer),
  mutatingPolicies(core),
  { ...mutatingWebhooks(core, callWebhook), endsPass: true },
  ...more,
  validatingPolicies(core),
  validatingWebhooks(core, callWebhook),
  resourceQuota(core),
];
