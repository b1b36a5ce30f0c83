import { errors, fieldErrors, invalidObject } from '#api';
import { timeText } from '#base';
import { success } from '../answer.ts';
import { readObject } from '../body.ts';
import type { AnyObject, JsonObject } from '../contract.ts';
import type { Call } from '../core.ts';
import { updateObject } from '../update-object.ts';
import { valueAnswer } from '../write-answer.ts';

interface PodParts {
  spec: { nodeName?: string; schedulingGates?: unknown[] };
  status?: { conditions?: JsonObject[] };
}

/** POST pods/NAME/binding: gives a pod its node, once. Conflict when it already has one or is being deleted. */
export async function bind(call: Call): Promise<Response> {
  const { value } = await readObject(call.request);
  const target = value['target'] as { kind?: string; name?: string } | undefined;
  const metadata = (value['metadata'] ?? {}) as {
    uid?: string;
    resourceVersion?: string;
    annotations?: Record<string, string>;
  };
  const mistakes = [
    ...(target?.kind && target.kind !== 'Node'
      ? [fieldErrors.notSupported('target.kind', target.kind, ['Node', '<empty>'])]
      : []),
    ...(target?.name ? [] : [fieldErrors.required('target.name')]),
  ];
  if (mistakes.length > 0) throw invalidObject('Binding', '', call.info.name, mistakes);
  await updateObject(call, {
    verb: 'update',
    subresource: 'binding',
    trusted: true,
    build(current) {
      const pod = current.draft() as AnyObject & PodParts;
      const refuse = (why: string) => errors.conflict('pods/binding', current.name, why);
      if (metadata.uid && metadata.uid !== pod.metadata.uid) {
        throw refuse(
          `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${pod.metadata.uid}`,
        );
      }
      if (pod.metadata.deletionTimestamp)
        throw refuse(`pod ${current.name} is being deleted, cannot be assigned to a host`);
      if (pod.spec.nodeName)
        throw refuse(`pod ${current.name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`);
      if (pod.spec.schedulingGates?.length) throw refuse(`pod ${current.name} has non-empty .spec.schedulingGates`);
      pod.metadata.resourceVersion = metadata.resourceVersion;
      pod.spec.nodeName = target!.name!;
      if (metadata.annotations) pod.metadata.annotations = { ...pod.metadata.annotations, ...metadata.annotations };
      const scheduled = {
        type: 'PodScheduled',
        status: 'True',
        lastProbeTime: null,
        lastTransitionTime: timeText(call.nowMs),
      };
      const others = (pod.status?.conditions ?? []).filter((condition) => condition['type'] !== 'PodScheduled');
      // Room that was kept for it somewhere is not needed any more.
      const { nominatedNodeName: _, ...status } = { ...pod.status } as Record<string, unknown>;
      pod['status'] = { ...status, conditions: [...others, scheduled] };
      return pod;
    },
  });
  return valueAnswer(call, { ...success(), code: 201 }, 201);
}
