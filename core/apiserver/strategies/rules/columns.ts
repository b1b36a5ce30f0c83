import type { KubeObject, LabelSelector } from '#api';
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
/** A label selector as query text, by key; `<none>` for one that matches everything. */
export function selectorText(selector: Readonly<LabelSelector> | undefined): string {
  const words: Readonly<Record<string, string>> = { In: 'in', NotIn: 'notin' };
  const parts = [
    ...Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => [key, `${key}=${value}`] as const),
    ...(selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
      const word = words[operator];
      if (word) return [key, `${key} ${word} (${[...values].sort().join(',')})`] as const;
      return [key, operator === 'DoesNotExist' ? `!${key}` : key] as const;
    }),
  ];
  const text = parts
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, part]) => part)
    .join(',');
  return text || '<none>';
}
/** For kinds without columns of their own. */
export const createdColumns: readonly Column<KubeObject>[] = [
  nameColumn,
  column('Created At', 'When it was stored first.', (object) => object.metadata.creationTimestamp ?? '', 'date'),
];
