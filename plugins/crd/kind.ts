import { type CustomResourceDefinition, type CustomResourceDefinitionVersion, type KubeObject, schemas } from '#sdk';

export type Definition = CustomResourceDefinition & KubeObject;
export type Version = CustomResourceDefinitionVersion;
export type Condition = NonNullable<NonNullable<Definition['status']>['conditions']>[number];

export const { definitionKind } = schemas;

/** Held by a definition until its last object is gone. */
export const cleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io';

export const conditionOf = (definition: Readonly<Definition>, type: string): Condition | undefined =>
  definition.status?.conditions?.find((condition) => condition.type === type);
export const isTrue = (definition: Readonly<Definition>, type: string): boolean =>
  conditionOf(definition, type)?.status === 'True';

/** Sets it in place of the former; the time moves only when the status does. True: something changed. */
export function setCondition(definition: Definition, condition: Condition, now: string): boolean {
  definition.status ??= {};
  const conditions = (definition.status.conditions ??= []);
  const at = conditions.findIndex(({ type }) => type === condition.type);
  const former = conditions[at];
  const time = former?.status === condition.status ? former.lastTransitionTime : now;
  const next = { ...condition, lastTransitionTime: time };
  if (former && Bun.deepEquals(former, next, false)) return false;
  if (former) conditions[at] = next;
  else conditions.push(next);
  return true;
}
