/** A structural schema, ready to walk: made once from the JSON of a definition, on first use. */
export type JsonObject = Record<string, unknown>;
export interface Rule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: string;
  readonly fieldPath?: string;
  readonly optionalOldSelf?: boolean;
}
export interface SchemaNode {
  /** As the definition has it. */
  readonly raw: JsonObject;
  /** Empty: any. */
  readonly type: string;
  /** What validation accepts; an int-or-string accepts both. */
  readonly types: readonly string[];
  readonly nullable: boolean;
  readonly format: string;
  readonly properties?: ReadonlyMap<string, SchemaNode>;
  /** True: anything below may stand here. */
  readonly additional?: SchemaNode | boolean;
  readonly items?: SchemaNode;
  readonly required: readonly string[];
  readonly enum?: readonly unknown[];
  /** Undefined: none. */
  readonly default?: unknown;
  readonly maximum?: number;
  readonly exclusiveMaximum: boolean;
  readonly minimum?: number;
  readonly exclusiveMinimum: boolean;
  readonly maxLength?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly maxItems?: number;
  readonly minItems?: number;
  readonly multipleOf?: number;
  readonly maxProperties?: number;
  readonly minProperties?: number;
  readonly allOf: readonly SchemaNode[];
  readonly anyOf: readonly SchemaNode[];
  readonly oneOf: readonly SchemaNode[];
  readonly not?: SchemaNode;
  readonly preserveUnknown: boolean;
  readonly embedded: boolean;
  readonly intOrString: boolean;
  readonly listType?: string;
  readonly listMapKeys: readonly string[];
  readonly mapType?: string;
  readonly rules: readonly Rule[];
  /** Something here or below has a default, a rule, a list that is a set or a map: else there is nothing to look for. */
  readonly has: { readonly defaults: boolean; readonly rules: boolean; readonly uniqueLists: boolean };
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const objects = (value: unknown): JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : []);
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const amount = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/** What is no part of a structural schema is left out; the definition's validation has refused it. */
export function compileSchema(raw: JsonObject): SchemaNode {
  const intOrString = raw['x-kubernetes-int-or-string'] === true;
  const type = text(raw['type']) ?? '';
  const properties = isObject(raw['properties'])
    ? new Map(
        Object.entries(raw['properties'])
          .filter((entry): entry is [string, JsonObject] => isObject(entry[1]))
          .map(([name, schema]) => [name, compileSchema(schema)]),
      )
    : undefined;
  const additional = raw['additionalProperties'];
  const below = {
    properties,
    additional: isObject(additional)
      ? compileSchema(additional)
      : typeof additional === 'boolean'
        ? additional
        : undefined,
    items: isObject(raw['items']) ? compileSchema(raw['items']) : undefined,
    allOf: objects(raw['allOf']).map(compileSchema),
  };
  const rules = objects(raw['x-kubernetes-validations']) as unknown as Rule[];
  const listType = text(raw['x-kubernetes-list-type']);
  const children = [
    ...(properties?.values() ?? []),
    ...(typeof below.additional === 'object' ? [below.additional] : []),
    ...(below.items ? [below.items] : []),
  ];
  return {
    raw,
    type,
    types: intOrString ? ['integer', 'string'] : type ? [type] : [],
    nullable: raw['nullable'] === true,
    format: formatOf(raw['format'], type),
    ...below,
    required: texts(raw['required']),
    enum: Array.isArray(raw['enum']) ? (raw['enum'] as unknown[]) : undefined,
    default: raw['default'],
    ...limitsOf(raw),
    anyOf: objects(raw['anyOf']).map(compileSchema),
    oneOf: objects(raw['oneOf']).map(compileSchema),
    not: isObject(raw['not']) ? compileSchema(raw['not']) : undefined,
    preserveUnknown: raw['x-kubernetes-preserve-unknown-fields'] === true,
    embedded: raw['x-kubernetes-embedded-resource'] === true,
    intOrString,
    listType,
    listMapKeys: texts(raw['x-kubernetes-list-map-keys']),
    mapType: text(raw['x-kubernetes-map-type']),
    rules,
    has: {
      defaults: children.some((child) => child.default !== undefined || child.has.defaults),
      rules: rules.length > 0 || [...children, ...below.allOf].some((child) => child.has.rules),
      uniqueLists: listType === 'set' || listType === 'map' || children.some((child) => child.has.uniqueLists),
    },
  };
}

function limitsOf(raw: JsonObject) {
  return {
    maximum: amount(raw['maximum']),
    exclusiveMaximum: raw['exclusiveMaximum'] === true,
    minimum: amount(raw['minimum']),
    exclusiveMinimum: raw['exclusiveMinimum'] === true,
    maxLength: amount(raw['maxLength']),
    minLength: amount(raw['minLength']),
    pattern: text(raw['pattern']),
    maxItems: amount(raw['maxItems']),
    minItems: amount(raw['minItems']),
    multipleOf: amount(raw['multipleOf']),
    maxProperties: amount(raw['maxProperties']),
    minProperties: amount(raw['minProperties']),
  };
}

const textFormats = new Set(
  'bsonobjectid uri email hostname ipv4 ipv6 cidr mac uuid uuid3 uuid4 uuid5 isbn isbn10 isbn13 creditcard ssn hexcolor rgbcolor byte password date duration datetime k8sshortname k8slongname'.split(
    ' ',
  ),
);
const numberFormats: Readonly<Record<string, readonly string[]>> = {
  integer: ['int32', 'int64'],
  number: ['float', 'double'],
};
export const isCheckedFormat = (format: string, type: string): boolean => formatOf(format, type) !== '';
/** Formats that nobody checks are as good as none. */
function formatOf(given: unknown, type: string): string {
  const format = text(given) ?? '';
  if (type === '' || type === 'string') return textFormats.has(format.replaceAll('-', '')) ? format : '';
  return numberFormats[type]?.includes(format) ? format : '';
}
