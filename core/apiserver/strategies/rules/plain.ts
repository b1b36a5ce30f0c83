import type { Kind, KubeObject } from '#api';
import type { Column, Strategy, StrategyRequest } from '#sdk';
import { ageColumn, nameColumn } from './columns.ts';
import { firstGeneration, nextGeneration, splitStatus } from './lifecycle.ts';
import { checkMetadata } from './metadata.ts';
import type { NameRule } from './names.ts';
import type { Mistakes } from './values.ts';

export interface Difference<T extends KubeObject> {
  readonly kind: Kind<T>;
  /** With `status` the status belongs to its subresource: it is empty at first and kept by other writes. */
  readonly subresources?: readonly string[];
  /** metadata.generation counts changes of the spec. */
  readonly generation?: boolean;
  readonly nameRule?: NameRule;
  readonly needsVersion?: boolean;
  readonly createdByUpdate?: boolean;
  readonly answersDeleted?: boolean;
  defaults?(draft: T): void;
  create?(draft: T, request: StrategyRequest): void;
  /** After status and generation were seen to. */
  update?(next: T, current: Readonly<T>, request: StrategyRequest): void;
  /** Beyond metadata. Upstream reports part of its mistakes behind all others: those go to `late`. */
  check?(
    mistakes: Mistakes,
    next: Readonly<T>,
    current: Readonly<T> | undefined,
    subresource: string | undefined,
    late: Mistakes,
  ): void;
  warnings?(next: Readonly<T>, current?: Readonly<T>): string[];
  fields?(object: Readonly<T>): Readonly<Record<string, string>>;
  readonly columns?: readonly Column<T>[];
}

/** The strategy of a kind that differs from the others only in what is given here. */
export function plainStrategy<T extends KubeObject>(difference: Difference<T>): Strategy<T> {
  const { kind, subresources = [], generation = false, nameRule, defaults, create, update, check } = difference;
  const hasStatus = subresources.includes('status');
  const { needsVersion, createdByUpdate, answersDeleted } = difference;
  return {
    kind,
    subresources,
    ...(needsVersion && { needsVersion }),
    ...(createdByUpdate && { createdByUpdate }),
    ...(answersDeleted && { answersDeleted }),
    ...(defaults && { defaults: (draft: T) => defaults(draft) }),
    prepareForCreate(draft, request) {
      if (generation) firstGeneration(draft);
      if (hasStatus) (draft as { status?: unknown }).status = {};
      create?.(draft, request);
    },
    prepareForUpdate(next, current, request) {
      if (hasStatus) splitStatus(next, current, request.subresource);
      if (generation) nextGeneration(next, current);
      update?.(next, current, request);
    },
    validate(next, current, subresource) {
      const mistakes = checkMetadata(next, current, nameRule);
      const late: Mistakes = [];
      check?.(mistakes, next, current, subresource, late);
      return [...mistakes, ...late];
    },
    ...(difference.warnings && { warnings: difference.warnings }),
    ...(difference.fields && { selectableFields: difference.fields }),
    columns: difference.columns ?? [nameColumn, ageColumn],
  };
}
