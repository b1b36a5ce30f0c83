import type { FieldError, Kind, KubeObject, LabelSelector, PodTemplateSpec } from '#api';
import type { Column, Strategy, StrategyRequest } from './strategy.ts';

/** What makes one kind different from the next; the rest is the same for all. */
export interface Difference<T extends KubeObject> {
  readonly kind: Kind<T>;
  /** With `status` the status belongs to its subresource: it is empty at first and kept by other writes. */
  readonly subresources?: readonly string[];
  /** metadata.generation counts changes of the spec. */
  readonly generation?: boolean;
  defaults?(draft: T): void;
  create?(draft: T, request: StrategyRequest): void;
  /** After status and generation were seen to. */
  update?(next: T, current: Readonly<T>, request: StrategyRequest): void;
  /** Beyond metadata. */
  check?(
    mistakes: FieldError[],
    next: Readonly<T>,
    current: Readonly<T> | undefined,
    subresource: string | undefined,
  ): void;
  fields?(object: Readonly<T>): Readonly<Record<string, string>>;
  readonly columns?: readonly Column<T>[];
}

/** The API server's own building blocks of strategies, for kinds that plugins bring. */
export interface StrategyKit {
  strategy<T extends KubeObject>(difference: Difference<T>): Strategy<T>;
  defaultPodTemplate(template: PodTemplateSpec): void;
  checkPodTemplate(mistakes: FieldError[], template: Readonly<PodTemplateSpec>, path: string): void;
  /** What a pod of this template asks for beyond the baseline level, in words; empty: nothing. */
  podViolations(template: Readonly<PodTemplateSpec>): string[];
  checkSelector(mistakes: FieldError[], path: string, selector: Readonly<LabelSelector> | undefined): void;
  checkNotNegative(mistakes: FieldError[], path: string, value: number | undefined): void;
  /** As tables print it: `app=web`, `tier in (a,b)`. */
  selectorText(selector: Readonly<LabelSelector> | undefined): string;
  column<T>(
    name: string,
    description: string,
    value: (object: Readonly<T>, nowMs: number) => string | number,
    type?: 'string' | 'integer',
  ): Column<T>;
  /** Shown with `-o wide` only. */
  wide<T>(name: string, description: string, value: (object: Readonly<T>) => string): Column<T>;
  readonly nameColumn: Column<KubeObject>;
  readonly ageColumn: Column<KubeObject>;
}
