import { fieldErrors, type Pod, type PodSpec } from '#api';
import { type Mistakes, sameJson } from '../rules/values.ts';
import { type ContainerRules, checkContainer, checkImage } from './containers.ts';

const list = 'spec.ephemeralContainers';
/** What a container that only looks into a pod must not have. */
const notForEphemeral = ['ports', 'resources', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle'] as const;
const isSet = (value: unknown): boolean =>
  value !== undefined && value !== null && !(typeof value === 'object' && Object.keys(value).length === 0);

export function checkEphemeralContainers(mistakes: Mistakes, spec: Readonly<PodSpec>, rules: ContainerRules): void {
  const others = new Set([...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ name }) => name));
  const names = new Set(others);
  for (const [index, container] of (spec.ephemeralContainers ?? []).entries()) {
    const at = `${list}[${index}]`;
    checkContainer(mistakes, at, container, rules);
    checkImage(mistakes, at, container.image);
    if (names.has(container.name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, container.name));
    names.add(container.name);
    const target = container.targetContainerName;
    if (target && !others.has(target)) mistakes.push(fieldErrors.notFound(`${at}.targetContainerName`, target));
    for (const field of notForEphemeral)
      if (isSet(container[field]))
        mistakes.push(fieldErrors.forbidden(`${at}.${field}`, 'cannot be set for an Ephemeral Container'));
    for (const [inner, mount] of (container.volumeMounts ?? []).entries())
      for (const field of ['subPath', 'subPathExpr'] as const)
        if (mount[field])
          mistakes.push(
            fieldErrors.forbidden(`${at}.volumeMounts[${inner}].${field}`, 'cannot be set for an Ephemeral Container'),
          );
  }
}

/** Ephemeral containers come, and then stay as they are: the pod remembers who looked into it. */
export function checkEphemeralUpdate(mistakes: Mistakes, next: Readonly<Pod>, current: Readonly<Pod>): void {
  for (const old of current.spec?.ephemeralContainers ?? []) {
    const kept = next.spec?.ephemeralContainers?.find(({ name }) => name === old.name);
    if (kept && sameJson(kept, old)) continue;
    const what = kept ? 'changed' : 'removed';
    mistakes.push(fieldErrors.forbidden(list, `existing ephemeral containers "${old.name}" may not be ${what}\n`));
  }
}
