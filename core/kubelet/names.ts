import type { Container, EphemeralContainer, Pod } from '#api';

export type Role = 'init' | 'sidecar' | 'container' | 'ephemeral';
export interface PodContainer {
  readonly role: Role;
  readonly spec: Container;
}

/** Every container of a pod, in the order in which they start. */
export function containersOf(pod: Readonly<Pod>): PodContainer[] {
  return [
    ...(pod.spec?.initContainers ?? []).map(
      (spec): PodContainer => ({ role: spec.restartPolicy === 'Always' ? 'sidecar' : 'init', spec }),
    ),
    ...(pod.spec?.containers ?? []).map((spec): PodContainer => ({ role: 'container', spec })),
    ...(pod.spec?.ephemeralContainers ?? []).map(
      (spec: EphemeralContainer): PodContainer => ({ role: 'ephemeral', spec: spec as Container }),
    ),
  ];
}
/** `web-x_default(uid)`, as back-off messages name a pod. */
export const podText = (pod: Readonly<Pod>): string =>
  `${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;
/** `spec.containers{web}`, as events about one container point at it. */
export const fieldPathOf = (container: PodContainer): string =>
  `spec.${container.role === 'container' ? 'containers' : container.role === 'ephemeral' ? 'ephemeralContainers' : 'initContainers'}{${container.spec.name}}`;
