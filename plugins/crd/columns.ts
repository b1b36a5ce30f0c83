import type { Column, KubeObject } from '#sdk';
import { compilePath } from './json-path.ts';
import type { Definition, Version } from './kind.ts';
import { isTrue } from './kind.ts';

type ColumnOf<T> = Column<T & KubeObject>;
const nameColumn: Column<KubeObject> = {
  name: 'Name',
  type: 'string',
  format: 'name',
  priority: 0,
  description: 'Unique within its namespace.',
  value: (object) => object.metadata.name ?? '',
};
const ageColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'When the server stored it first.',
};

/** Of a version of a custom kind. A path that finds nothing leaves its cell empty. */
export function columnsOf(version: Version): Column<KubeObject>[] {
  const declared: NonNullable<Version['additionalPrinterColumns']> = version.additionalPrinterColumns?.length
    ? version.additionalPrinterColumns
    : [ageColumn];
  return [
    nameColumn,
    ...declared.map(({ name, type, format, priority, description, jsonPath }): Column<KubeObject> => {
      const read = compilePath(jsonPath);
      return {
        name,
        type: type as Column<KubeObject>['type'],
        format: format ?? '',
        priority: priority ?? 0,
        description: description || `Custom resource definition column (in JSONPath format): ${jsonPath}`,
        value: (object, nowMs) => cellOf(type, read?.(object)[0], nowMs),
      };
    }),
  ];
}

function cellOf(type: string, value: unknown, nowMs: number): string | number | boolean | null {
  if (value === undefined || value === null) return null;
  switch (type) {
    case 'string':
      return typeof value === 'object' ? JSON.stringify(value) : String(value as string | number | boolean);
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : typeof value === 'bigint' ? Number(value) : null;
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'date':
      return typeof value === 'string' ? ageOf(value, nowMs) : null;
    default:
      return null;
  }
}

/** As kubectl writes ages: two units while the first is small. */
function ageOf(text: string, nowMs: number): string {
  const since = Date.parse(text);
  if (Number.isNaN(since)) return '<invalid>';
  const seconds = Math.floor((nowMs - since) / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 120) return `${Math.max(0, seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  const two = (big: number, bigUnit: string, small: number, unit: string) =>
    `${big}${bigUnit}${small ? `${small}${unit}` : ''}`;
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (hours < 192) return two(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? two(years, 'y', days % 365, 'd') : `${years}y`;
}

const column = (
  name: string,
  description: string,
  value: (definition: Readonly<Definition>) => string | boolean,
  more: Partial<ColumnOf<Definition>> = {},
): Column<Definition> => ({ name, type: 'string', priority: 0, description, value, ...more });
const wide = { priority: 1 };
export const definitionColumns: readonly Column<Definition>[] = [
  nameColumn as Column<Definition>,
  column('Scope', 'Cluster/Namespaced', ({ spec }) => spec.scope),
  column('Versions', 'Served versions', ({ spec }) =>
    spec.versions
      .filter(({ served }) => served)
      .map(({ name, storage }) => (storage ? `${name}(storage)` : name))
      .sort()
      .join(','),
  ),
  column('Created At', 'When the server stored it first.', ({ metadata }) => metadata.creationTimestamp ?? '', {
    type: 'date',
  }),
  column('Group', 'API group', ({ spec }) => spec.group, wide),
  column('Kind', 'CustomResource kind', ({ spec }) => spec.names.kind, wide),
  column('ShortNames', 'Short names', ({ spec }) => spec.names.shortNames?.join(',') ?? '', wide),
  column('Established', 'Established status', (definition) => isTrue(definition, 'Established'), {
    priority: 1,
    type: 'boolean',
  }),
];
