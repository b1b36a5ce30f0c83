import { type KubeObject, type Pod, podKind } from '#api';
import type { Strategy } from '#sdk';
import { podColumns } from './pod/columns.ts';
import { defaultPod } from './pod/defaults.ts';
import { checkEphemeralUpdate } from './pod/ephemeral.ts';
import { checkKnownSpec } from './pod/known-specs.ts';
import { checkResize, keepAllButEphemeral, keepAllButResources } from './pod/parts.ts';
import { qosClassOf } from './pod/qos.ts';
import { checkPodUpdate } from './pod/validate.ts';
import { firstGeneration, nextGeneration, splitStatus } from './rules/lifecycle.ts';
import { checkMetadata } from './rules/metadata.ts';
import { sameJson } from './rules/values.ts';

type PodObject = Pod & KubeObject;

export const podStrategy: Strategy<PodObject> = {
  kind: podKind,
  answersDeleted: true,
  subresources: ['ephemeralcontainers', 'resize', 'status'],
  defaults: defaultPod,
  prepareForCreate(pod) {
    firstGeneration(pod);
    const spec = pod.spec!;
    delete spec.ephemeralContainers;
    spec.priority ??= 0;
    spec.preemptionPolicy ??= 'PreemptLowerPriority';
    pod.status = { phase: 'Pending', qosClass: qosClassOf(spec) };
    if (spec.schedulingGates?.length)
      pod.status.conditions = [
        {
          type: 'PodScheduled',
          status: 'False',
          reason: 'SchedulingGated',
          message: 'Scheduling is blocked due to non-empty scheduling gates',
        },
      ];
  },
  prepareForUpdate(next, current, request) {
    if (request.subresource === 'ephemeralcontainers' || request.subresource === 'resize') {
      if (request.subresource === 'resize') keepAllButResources(next, current);
      else keepAllButEphemeral(next, current);
      nextGeneration(next, current);
      return;
    }
    splitStatus(next, current, request.subresource);
    nextGeneration(next, current);
    if (request.subresource !== 'status') return;
    // The class is decided once, from the spec; a node that reports without it must not erase it.
    next.status ??= {};
    next.status.qosClass = current.status?.qosClass ?? next.status.qosClass;
  },
  validate(next, current, subresource) {
    const mistakes = checkMetadata(next, current);
    if (subresource === 'status') return mistakes;
    if (!current || !sameJson(next.spec, current.spec)) checkKnownSpec(mistakes, next.spec ?? { containers: [] });
    if (current && subresource === 'ephemeralcontainers') checkEphemeralUpdate(mistakes, next, current);
    else if (current && subresource === 'resize') checkResize(mistakes, next, current);
    else if (current) mistakes.push(...checkPodUpdate(next, current));
    return mistakes;
  },
  selectableFields: (pod) => ({
    'spec.nodeName': pod.spec?.nodeName ?? '',
    'spec.restartPolicy': pod.spec?.restartPolicy ?? '',
    'spec.schedulerName': pod.spec?.schedulerName ?? '',
    'spec.serviceAccountName': pod.spec?.serviceAccountName ?? '',
    'spec.hostNetwork': String(pod.spec?.hostNetwork ?? false),
    'status.phase': pod.status?.phase ?? '',
    'status.podIP': pod.status?.podIPs?.[0]?.ip ?? '',
    'status.podIPs': '', // upstream takes the name and knows no value
    'status.nominatedNodeName': pod.status?.nominatedNodeName ?? '',
  }),
  columns: podColumns,
  gracePeriodSeconds(pod, asked) {
    // Nobody runs it, so nobody will report its end.
    if (!pod.spec?.nodeName) return 0;
    if (pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') return 0;
    const seconds = asked ?? pod.spec.terminationGracePeriodSeconds ?? 30;
    return seconds < 0 ? 1 : seconds;
  },
};
