/**
 * `t`: one place from which a plugin's TypeScript type, its OpenAPI v3 schema and its reading and writing come.
 * A schema has two types: what a program reads (`Out`: a Duration, a Date, defaults filled) and what people write (`In`).
 */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
/** A structural schema as CustomResourceDefinitions take it. */
export type JsonSchema = { readonly [key: string]: JsonValue };
type Presence = 'required' | 'optional' | 'defaulted';

/** `ms` to reckon with, `text` as it was written. */
export interface Duration {
  readonly ms: number;
  readonly text: string;
}

declare const types: unique symbol;
interface Codec {
  read(json: never): unknown;
  write(value: never): unknown;
}

export class Schema<Out, In = Out, P extends Presence = 'required'> {
  declare readonly [types]: { readonly out: Out; readonly in: In; readonly presence: P };
  constructor(
    readonly json: JsonSchema,
    /** Absent where JSON and value are the same. */
    readonly codec?: Codec,
    readonly presence: Presence = 'required',
  ) {}
  /** From stored JSON, which the API server has checked, to values. */
  read(json: unknown): Out {
    return (json === undefined || json === null || !this.codec ? json : this.codec.read(json as never)) as Out;
  }
  write(value: Out): unknown {
    return value === undefined || value === null || !this.codec ? value : this.codec.write(value as never);
  }
  optional(): Schema<Out, In, 'optional'> {
    return new Schema(this.json, this.codec, 'optional');
  }
  /** Filled by the API server, in stored objects too. */
  default(value: In & JsonValue): Schema<Out, In, 'defaulted'> {
    return new Schema({ ...this.json, default: value }, this.codec, 'defaulted');
  }
  describe(description: string): this {
    return this.with({ description });
  }
  /** A CEL rule on `self` (and `oldSelf` for a transition), with what a person is told when it fails. */
  rule(rule: string, message: string): this {
    const former = (this.json['x-kubernetes-validations'] ?? []) as readonly JsonValue[];
    return this.with({ 'x-kubernetes-validations': [...former, { rule, message }] });
  }
  protected with(more: JsonSchema): this {
    return Object.assign(Object.create(Object.getPrototypeOf(this) as object), this, {
      json: { ...this.json, ...more },
    }) as this;
  }
}
export type AnySchema = Schema<unknown, unknown, Presence> | Schema<never, never, Presence>;
export type TypeOf<S> = S extends { readonly [types]: { readonly out: infer T } } ? T : never;
export type InputOf<S> = S extends { readonly [types]: { readonly in: infer T } } ? T : never;
type PresenceOf<S> = S extends { readonly [types]: { readonly presence: infer P } } ? P : never;

export type Shape = Readonly<Record<string, { readonly [types]: unknown }>>;
type Flat<T> = { [K in keyof T]: T[K] };
type KeysOf<S, P> = { [K in keyof S]: PresenceOf<S[K]> extends P ? K : never }[keyof S];
type ReadOf<S> = Flat<
  { readonly [K in KeysOf<S, 'required' | 'defaulted'>]: TypeOf<S[K]> } & {
    readonly [K in KeysOf<S, 'optional'>]?: TypeOf<S[K]>;
  }
>;
type WriteOf<S> = Flat<
  { [K in KeysOf<S, 'required'>]: InputOf<S[K]> } & { [K in KeysOf<S, 'optional' | 'defaulted'>]?: InputOf<S[K]> }
>;

class TextSchema extends Schema<string> {
  min(length: number): this {
    return this.with({ minLength: length });
  }
  max(length: number): this {
    return this.with({ maxLength: length });
  }
  pattern(pattern: RegExp): this {
    return this.with({ pattern: pattern.source });
  }
}
class NumberSchema extends Schema<number> {
  min(value: number): this {
    return this.with({ minimum: value });
  }
  max(value: number): this {
    return this.with({ maximum: value });
  }
}
class DurationSchema extends Schema<Duration, string> {
  min(text: string): this {
    return this.rule(`duration(self) >= duration('${text}')`, `must be at least ${text}`);
  }
  max(text: string): this {
    return this.rule(`duration(self) <= duration('${text}')`, `must be at most ${text}`);
  }
}
class ListSchema<Out, In> extends Schema<readonly Out[], readonly In[]> {
  min(items: number): this {
    return this.with({ minItems: items });
  }
  max(items: number): this {
    return this.with({ maxItems: items });
  }
  /** Elements are unlike each other; server-side apply merges them as a set. */
  unique(): this {
    return this.with({ 'x-kubernetes-list-type': 'set' });
  }
  /** Elements are told apart by these fields; server-side apply merges them one by one. */
  keyedBy(...fields: string[]): this {
    return this.with({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': fields });
  }
}

const durationUnitsMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
/** `1h30m`, `250ms`: as Go writes durations. Throws on other text. */
export function parseDuration(text: string): Duration {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.map(([part]) => part).join('') !== text.replace(/^[-+]/, '') || parts.length === 0) {
    if (text === '0') return { ms: 0, text };
    throw new Error(`"${text}" is not a duration such as 90s, 5m or 1h30m`);
  }
  const ms = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * durationUnitsMs[unit!]!, 0);
  return { ms: text.startsWith('-') ? -ms : ms, text };
}
const timeText = (value: Date): string => value.toISOString().replace(/\.\d{3}Z$/, 'Z');

function objectOf<const S extends Shape>(shape: S): Schema<ReadOf<S>, WriteOf<S>> {
  const fields = Object.entries(shape) as [string, Schema<unknown>][];
  const required = fields.filter(([, field]) => field.presence === 'required').map(([name]) => name);
  const mapped = (way: 'read' | 'write') => (object: Readonly<Record<string, unknown>>) => {
    const result: Record<string, unknown> = { ...object };
    for (const [name, field] of fields) if (field.codec && name in object) result[name] = field[way](object[name]);
    return result;
  };
  return new Schema(
    {
      type: 'object',
      properties: Object.fromEntries(fields.map(([name, field]) => [name, field.json])),
      ...(required.length ? { required } : {}),
    },
    fields.some(([, field]) => field.codec) ? { read: mapped('read'), write: mapped('write') } : undefined,
  );
}

const each = (item: Schema<unknown>): Codec | undefined =>
  item.codec && {
    read: (list: readonly unknown[]) => list.map((one) => item.read(one)),
    write: (list: readonly unknown[]) => list.map((one) => item.write(one)),
  };
const eachValue = (value: Schema<unknown>): Codec | undefined => {
  const map = (way: 'read' | 'write') => (object: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(object).map(([key, one]) => [key, value[way](one)]));
  return value.codec && { read: map('read'), write: map('write') };
};

export const t = {
  string: (): TextSchema => new TextSchema({ type: 'string' }),
  int: (): NumberSchema => new NumberSchema({ type: 'integer', format: 'int64' }),
  number: (): NumberSchema => new NumberSchema({ type: 'number' }),
  boolean: (): Schema<boolean> => new Schema({ type: 'boolean' }),
  enum: <const T extends string>(...values: readonly T[]): Schema<T> => new Schema({ type: 'string', enum: values }),
  /** `250m`, `64Mi`. */
  quantity: (): Schema<string, string | number> =>
    new Schema({
      'x-kubernetes-int-or-string': true,
      anyOf: [{ type: 'integer' }, { type: 'string' }],
      pattern:
        '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$',
    }),
  intOrString: (): Schema<number | string> =>
    new Schema({ 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] }),
  /** `90s`, `1h30m`; read as milliseconds. */
  duration: (): DurationSchema =>
    new DurationSchema(
      { type: 'string', format: 'duration' },
      { read: parseDuration, write: (value: Duration | string) => (typeof value === 'string' ? value : value.text) },
    ),
  /** A point in time, to the second. */
  time: (): Schema<Date, Date | string> =>
    new Schema(
      { type: 'string', format: 'date-time' },
      {
        read: (text: string) => new Date(text),
        write: (value: Date | string) => (typeof value === 'string' ? value : timeText(value)),
      },
    ),
  array: <S extends { readonly [types]: unknown }>(item: S): ListSchema<TypeOf<S>, InputOf<S>> => {
    const schema = item as unknown as Schema<unknown>;
    return new ListSchema({ type: 'array', items: schema.json }, each(schema));
  },
  /** Any keys, values of one kind. */
  map: <S extends { readonly [types]: unknown }>(
    value: S,
  ): Schema<Readonly<Record<string, TypeOf<S>>>, Record<string, InputOf<S>>> => {
    const schema = value as unknown as Schema<unknown>;
    return new Schema({ type: 'object', additionalProperties: schema.json }, eachValue(schema));
  },
  object: objectOf,
  /** Any JSON, kept as it is. */
  any: (): Schema<unknown> => new Schema({ 'x-kubernetes-preserve-unknown-fields': true }),
} as const;
