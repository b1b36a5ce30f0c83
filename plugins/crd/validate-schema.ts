import { schemas } from '#sdk';
import { Mistakes } from './mistakes.ts';
import { checkStructure } from './validate-structure.ts';

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const types = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
const rootFields = new Set(
  'description type format title maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern maxItems minItems uniqueItems multipleOf required items properties externalDocs example x-kubernetes-preserve-unknown-fields x-kubernetes-validations'.split(
    ' ',
  ),
);
const rootFieldNames =
  '[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]';

export interface SchemaOptions {
  readonly hasStatus: boolean;
  /** The same schema is stored already: what is not allowed any more is let be. */
  readonly unchanged: boolean;
}

/** Everything that a definition's schema may not be. `path` leads to openAPIV3Schema. */
export function checkSchema(schema: Json, path: string, options: SchemaOptions): Mistakes['list'] {
  const mistakes = new Mistakes();
  if (options.hasStatus) checkRootFields(schema, path, mistakes);
  if (schema['nullable'] === true) mistakes.forbidden(`${path}.nullable`, 'nullable cannot be true at the root');
  const structure = checkStructure(schema, path);
  mistakes.list.push(...structure);
  const node = structure.length === 0 ? schemas.compileSchema(schema) : undefined;
  if (node) checkDefaults(node, path, mistakes);
  const isSound = mistakes.list.length === 0;
  const walk = new Walk(mistakes);
  walk.schema(schema, path, { root: true });
  if (node && isSound && mistakes.list.length === 0 && node.has.rules)
    mistakes.list.push(...schemas.checkRuleTexts(node, path, options.unchanged));
  return mistakes.list;
}

function checkRootFields(schema: Json, path: string, mistakes: Mistakes): void {
  for (const [name, value] of Object.entries(schema)) {
    if (value === undefined || value === false || value === '' || name === 'type') continue;
    if (rootFields.has(name)) continue;
    mistakes.invalid(
      path,
      schema,
      `only ${rootFieldNames} fields are allowed at the root of the schema if the status subresource is enabled`,
    );
    return;
  }
  if (schema['type'] !== 'object')
    mistakes.invalid(
      `${path}.type`,
      schema['type'] ?? '',
      'only "object" is allowed as the type at the root of the schema if the status subresource is enabled',
    );
}

/** A default is what its own schema allows. */
function checkDefaults(node: schemas.SchemaNode, path: string, mistakes: Mistakes): void {
  if (node.default !== undefined) {
    const at = `${path}.default`;
    const copy = structuredClone(node.default);
    const strange = typeof copy === 'object' && copy !== null && schemas.pruneValue(node, copy).length > 0;
    if (strange) mistakes.invalid(at, node.default, 'must not have unknown fields');
    else {
      const wrong = schemas.validateValue(node, node.default).map((mistake) => ({
        ...mistake,
        field: mistake.field === schemas.noPath ? at : `${at}.${mistake.field}`,
      }));
      mistakes.list.push(...wrong);
      if (wrong.length === 0 && node.has.rules)
        mistakes.list.push(...schemas.checkRules(node, node.default, schemas.uncorrelated, undefined, at).mistakes);
    }
  }
  if (node.items) checkDefaults(node.items, `${path}.items`, mistakes);
  for (const [name, inner] of node.properties ?? []) checkDefaults(inner, `${path}.properties[${name}]`, mistakes);
}

interface Place {
  readonly root?: boolean;
  readonly insideMetadata?: boolean;
  /** Why no default may stand here. */
  readonly noDefaults?: string;
}
const unsupported: readonly (readonly [string, string])[] = [
  ['id', 'id is not supported'],
  ['additionalItems', 'additionalItems is not supported'],
  ['patternProperties', 'patternProperties is not supported'],
  ['definitions', 'definitions is not supported'],
  ['dependencies', 'dependencies is not supported'],
  ['$ref', '$ref is not supported'],
];
class Walk {
  constructor(private readonly mistakes: Mistakes) {}

  schema(schema: Json, path: string, place: Place): void {
    this.#own(schema, path, place);
    const { mistakes } = this;
    if (schema['uniqueItems'] === true)
      mistakes.forbidden(
        `${path}.uniqueItems`,
        'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
      );
    const additional = schema['additionalProperties'];
    const properties = isObject(schema['properties']) ? Object.entries(schema['properties']) : [];
    if (additional !== undefined && additional !== true && properties.length > 0)
      mistakes.forbidden(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive');
    if (isObject(additional))
      this.schema(additional, `${path}.additionalProperties`, {
        ...place,
        root: false,
        ...(place.insideMetadata ? { noDefaults: 'inside additionalProperties applying to object metadata' } : {}),
      });
    for (const [name, inner] of properties) {
      if (!isObject(inner)) continue;
      const isMeta =
        (place.root || schema['x-kubernetes-embedded-resource'] === true) && /^(metadata|kind|apiVersion)$/.test(name);
      this.schema(inner, `${path}.properties[${name}]`, {
        insideMetadata: place.insideMetadata || isMeta,
        noDefaults: place.root && isMeta ? `in top-level ${name}` : place.noDefaults,
      });
    }
    const inside = { ...place, root: false };
    for (const junctor of ['allOf', 'oneOf', 'anyOf'])
      if (Array.isArray(schema[junctor]))
        for (const [index, inner] of (schema[junctor] as unknown[]).entries())
          if (isObject(inner)) this.schema(inner, `${path}.${junctor}[${index}]`, inside);
    if (isObject(schema['not'])) this.schema(schema['not'], `${path}.not`, inside);
    if (isObject(schema['items'])) this.schema(schema['items'], `${path}.items`, inside);
    this.#lists(schema, path);
    this.#rules(schema, path);
  }

  #own(schema: Json, path: string, place: Place): void {
    const { mistakes } = this;
    const type = schema['type'];
    if (typeof type === 'string' && type !== '' && !types.includes(type))
      mistakes.notSupported(`${path}.type`, type, types);
    if (schema['default'] !== undefined && place.noDefaults)
      mistakes.forbidden(`${path}.default`, `must not be set ${place.noDefaults}`);
    for (const [name, why] of unsupported)
      if (schema[name] !== undefined && schema[name] !== '') mistakes.forbidden(`${path}.${name}`, why);
    if (type === 'null')
      mistakes.forbidden(`${path}.type`, 'type cannot be set to null, use nullable as an alternative');
    if (Array.isArray(schema['items']))
      mistakes.forbidden(`${path}.items`, 'items must be a schema object and not an array');
    if (place.insideMetadata && schema['x-kubernetes-embedded-resource'] === true)
      mistakes.forbidden(`${path}.x-kubernetes-embedded-resource`, 'must not be used inside of resource meta');
    if (schema['x-kubernetes-preserve-unknown-fields'] === false)
      mistakes.invalid(`${path}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined');
  }

  #lists(schema: Json, path: string): void {
    const { mistakes } = this;
    const type = (schema['type'] as string | undefined) ?? '';
    const [mapType, listType] = [schema['x-kubernetes-map-type'], schema['x-kubernetes-list-type']] as [
      string?,
      string?,
    ];
    const wantsType = (wanted: string, extension: string) => {
      const why = `must be ${wanted} if ${extension} is specified`;
      if (type) mistakes.invalid(`${path}.type`, type, why);
      else mistakes.required(`${path}.type`, why);
    };
    if (mapType !== undefined && type !== 'object') wantsType('object', 'x-kubernetes-map-type');
    if (mapType !== undefined && !['atomic', 'granular'].includes(mapType))
      mistakes.notSupported(`${path}.x-kubernetes-map-type`, mapType, ['atomic', 'granular']);
    const items = isObject(schema['items']) ? schema['items'] : undefined;
    if (listType !== undefined && type !== 'array') wantsType('array', 'x-kubernetes-list-type');
    else if (listType === 'set' && items) this.#setItems(items, `${path}.items`);
    if (listType !== undefined && !['atomic', 'set', 'map'].includes(listType))
      mistakes.listed(`${path}.x-kubernetes-list-type`, listType, ['atomic', 'set', 'map']);
    const keys = (schema['x-kubernetes-list-map-keys'] ?? []) as string[];
    if (keys.length > 0 && listType !== 'map') {
      const why = 'must be map if x-kubernetes-list-map-keys is non-empty';
      if (listType === undefined) mistakes.required(`${path}.x-kubernetes-list-type`, why);
      else mistakes.invalid(`${path}.x-kubernetes-list-type`, listType, why);
    }
    if (listType === 'map') this.#mapList(schema, items, keys, path);
    if ((listType === 'map' || listType === 'set') && items?.['nullable'] === true)
      mistakes.forbidden(`${path}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`);
  }

  #setItems(items: Json, path: string): void {
    const listType = items['x-kubernetes-list-type'];
    if (items['type'] === 'array' && listType !== undefined && listType !== 'atomic')
      this.mistakes.invalid(
        `${path}.x-kubernetes-list-type`,
        listType,
        'must be atomic as item of a list with x-kubernetes-list-type=set',
      );
    if (items['type'] === 'object' && items['x-kubernetes-map-type'] !== 'atomic')
      this.mistakes.invalid(
        `${path}.x-kubernetes-map-type`,
        listType ?? null,
        'must be atomic as item of a list with x-kubernetes-list-type=set',
      );
  }

  #mapList(schema: Json, items: Json | undefined, keys: readonly string[], path: string): void {
    const { mistakes } = this;
    const keysPath = `${path}.x-kubernetes-list-map-keys`;
    if (keys.length === 0) mistakes.required(keysPath, 'must not be empty if x-kubernetes-list-type is map');
    if (schema['items'] === undefined)
      mistakes.required(`${path}.items`, 'must have a schema if x-kubernetes-list-type is map');
    if (!items) return;
    if (items['type'] !== 'object') {
      mistakes.invalid(
        `${path}.items.type`,
        items['type'] ?? '',
        "must be object if parent array's x-kubernetes-list-type is map",
      );
      return;
    }
    const properties = isObject(items['properties']) ? items['properties'] : {};
    const required = Array.isArray(items['required']) ? (items['required'] as unknown[]) : [];
    for (const [index, key] of keys.entries()) {
      const property = properties[key];
      if (!isObject(property)) mistakes.invalid(keysPath, keys, 'entries must all be names of item properties');
      else if (property['type'] === 'array' || property['type'] === 'object')
        mistakes.invalid(
          `${path}.items.properties[${key}].type`,
          items['type'],
          "must be a scalar type if parent array's x-kubernetes-list-type is map",
        );
      if (keys.indexOf(key) < index) mistakes.invalid(keysPath, keys, 'must not contain duplicate entries');
    }
    for (const key of keys) {
      const property = properties[key];
      if (!isObject(property)) continue;
      const at = `${path}.items.properties[${key}]`;
      if (!required.includes(key) && property['default'] === undefined)
        mistakes.required(
          `${at}.default`,
          'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
        );
      if (property['nullable'] === true)
        mistakes.forbidden(
          `${at}.nullable`,
          'this property is in x-kubernetes-list-map-keys, so it cannot be nullable',
        );
    }
  }

  /** What can be said of rules without understanding them. */
  #rules(schema: Json, path: string): void {
    const { mistakes } = this;
    const rules = schema['x-kubernetes-validations'];
    if (!Array.isArray(rules)) return;
    const hasBreak = (text: string) => /[\n\r]/.test(text);
    for (const [index, rule] of (rules as schemas.Rule[]).entries()) {
      const at = `${path}.x-kubernetes-validations[${index}]`;
      const [text, message] = [rule.rule?.trim() ?? '', rule.message?.trim() ?? ''];
      if (!text) mistakes.required(`${at}.rule`, 'rule is not specified');
      else if (rule.message && !message)
        mistakes.invalid(`${at}.message`, rule.message, 'must be non-empty if specified');
      else if (hasBreak(message)) mistakes.invalid(`${at}.message`, rule.message, 'must not contain line breaks');
      else if (hasBreak(text) && !message)
        mistakes.required(`${at}.message`, 'message must be specified if rule contains line breaks');
      if (rule.messageExpression && !rule.messageExpression.trim())
        mistakes.required(`${at}.messageExpression`, 'messageExpression must be non-empty if specified');
      const reasons = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];
      if (rule.reason !== undefined && !reasons.includes(rule.reason))
        mistakes.notSupported(`${at}.reason`, rule.reason, reasons);
      if (!rule.fieldPath) continue;
      if (!rule.fieldPath.trim()) mistakes.invalid(`${at}.fieldPath`, rule.fieldPath, 'must be non-empty if specified');
      if (hasBreak(rule.fieldPath)) mistakes.invalid(`${at}.fieldPath`, rule.fieldPath, 'must not contain line breaks');
      if ('error' in schemas.followPath(rule.fieldPath, schemas.compileSchema(schema)))
        mistakes.invalid(`${at}.fieldPath`, rule.fieldPath, 'must be a valid path');
    }
  }
}
