import type { KubeObject } from '#api';
import type { Column } from '#sdk';
import { since } from './age.ts';

type Value<T> = (object: Readonly<T>, nowMs: number) => string | number | boolean | null;
/** A column that is always shown. */
export const column = <T>(
  name: string,
  description: string,
  value: Value<T>,
  type: Column<T>['type'] = 'string',
): Column<T> => ({
  name,
  type,
  priority: 0,
  description,
  value,
});
/** A column of `-o wide`. */
export const wide = <T>(
  name: string,
  description: string,
  value: Value<T>,
  type: Column<T>['type'] = 'string',
): Column<T> => ({
  ...column(name, description, value, type),
  priority: 1,
});
export const nameColumn: Column<KubeObject> = {
  ...column<KubeObject>(
    'Name',
    'The name, unique among objects of this kind in its namespace.',
    (object) => object.metadata.name ?? '',
  ),
  format: 'name',
};
export const ageColumn: Column<KubeObject> = column('Age', 'Time since the object was created.', (object, nowMs) =>
  since(object.metadata.creationTimestamp, nowMs),
);
/** `a=1,b=2` in the order of the keys; `<none>` for none. */
export const labelsText = (labels: Readonly<Record<string, string>> | undefined): string => {
  const entries = Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length ? entries.map(([key, value]) => `${key}=${value}`).join(',') : '<none>';
};
