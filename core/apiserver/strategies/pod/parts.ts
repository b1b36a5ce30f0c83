import { type Container, fieldErrors, type KubeObject, type Pod } from '#api';
import { type Mistakes, sameJson } from '../rules/values.ts';
import { qosClassOf } from './qos.ts';

/** What the subresources ephemeralcontainers and resize may change of a pod, and how. */
type PodObject = Pod & KubeObject;

/** Everything of the object but what the subresource is about stays as it is. */
function keepRest(next: PodObject, current: Readonly<PodObject>, spec: Pod['spec']): void {
  next.spec = spec;
  if (current.status) next.status = current.status;
  else delete next.status;
  for (const name of ['labels', 'annotations', 'finalizers', 'ownerReferences'] as const) {
    if (current.metadata[name] === undefined) delete next.metadata[name];
    else Object.assign(next.metadata, { [name]: current.metadata[name] });
  }
}

export function keepAllButEphemeral(next: PodObject, current: Readonly<PodObject>): void {
  const ephemeralContainers = next.spec?.ephemeralContainers;
  const { ephemeralContainers: _before, ...rest } = current.spec!;
  keepRest(next, current, {
    ...rest,
    ...(ephemeralContainers?.length && { ephemeralContainers }),
  });
}

/** Containers by their place and name; those that do not match stay as they were. */
const resized = (next: readonly Container[] | undefined, current: readonly Container[] | undefined) =>
  current?.map((container, index) => {
    const wanted = next?.[index];
    if (wanted?.name !== container.name) return container;
    const { resources, resizePolicy } = wanted;
    return { ...container, resources: resources ?? {}, ...(resizePolicy && { resizePolicy }) };
  });

export function keepAllButResources(next: PodObject, current: Readonly<PodObject>): void {
  const spec = current.spec!;
  const initContainers = resized(next.spec?.initContainers, spec.initContainers);
  keepRest(next, current, {
    ...spec,
    containers: resized(next.spec?.containers, spec.containers) ?? [],
    ...(initContainers && { initContainers }),
  });
}

export function checkResize(mistakes: Mistakes, next: Readonly<PodObject>, current: Readonly<PodObject>): void {
  const before = current.status?.qosClass ?? qosClassOf(current.spec!);
  if (qosClassOf(next.spec!) !== before)
    mistakes.push(fieldErrors.invalid('spec', before, 'Pod QOS Class may not change as a result of resizing'));
  const fixed = (containers: readonly Container[] | undefined) =>
    containers?.map(({ resources, resizePolicy }) => [
      withoutScalable(resources?.requests),
      withoutScalable(resources?.limits),
      resizePolicy,
    ]);
  if (!sameJson(fixed(next.spec?.containers), fixed(current.spec?.containers)))
    mistakes.push(fieldErrors.forbidden('spec', 'only cpu and memory resources are mutable'));
  if (!sameJson(next.spec?.initContainers, current.spec?.initContainers))
    mistakes.push(fieldErrors.forbidden('spec', 'resources for non-sidecar init containers are immutable'));
}
const withoutScalable = (list: Readonly<Record<string, string>> | undefined) =>
  Object.entries(list ?? {})
    .filter(([name]) => name !== 'cpu' && name !== 'memory')
    .sort();
