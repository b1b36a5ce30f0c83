import { isObject, type JsonObject } from './node.ts';

/** A definition as people write it: only what types are made from is looked at. */
export interface DefinitionText {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly storage?: boolean;
      readonly schema?: { readonly openAPIV3Schema?: object };
    }[];
  };
}
export interface TypesOptions {
  /** Where ObjectMeta is imported from. */
  readonly from?: string;
}
const lineMax = 110;

/**
 * TypeScript types of a custom resource: one interface for each object of its schema, named by its place, with the descriptions as
 * comments. Enums are unions, an int-or-string is `number | string`, what is kept unknown is open. The stored version has the plain name,
 * others carry theirs (`FooV1beta1`). Ends with a newline.
 */
export function typesOf({ spec }: DefinitionText, { from = 'pintle/sdk' }: TypesOptions = {}): string {
  const blocks = spec.versions.flatMap((version) => {
    const suffix = version.storage === false ? pascal(version.name) : '';
    const writer = new Writer();
    const schema = isObject(version.schema?.openAPIV3Schema) ? version.schema.openAPIV3Schema : { type: 'object' };
    writer.resource(`${spec.names.kind}${suffix}`, schema, `${spec.group}/${version.name}`, spec.names.kind);
    return writer.blocks;
  });
  return `import type { ObjectMeta } from '${from}';\n\n${blocks.join('\n')}`;
}

const pascal = (text: string): string =>
  text
    .split(/[^A-Za-z0-9]+/)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('');
const keyText = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name));
const quoted = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
const openIndex = '  [key: string]: unknown;\n';

class Writer {
  readonly blocks: string[] = [];
  readonly #names = new Set<string>(['ObjectMeta']);

  resource(name: string, schema: JsonObject, apiVersion: string, kind: string): void {
    const properties = isObject(schema['properties']) ? schema['properties'] : {};
    const own = Object.entries(properties).filter(([field]) => !/^(apiVersion|kind|metadata)$/.test(field));
    const required = new Set(Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : []);
    const at = this.#reserve(name);
    const fields = own.map(([field, inner]) => this.#field(name, field, inner, required.has(field)));
    const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true;
    this.blocks[at] = `${comment(schema, '')}export interface ${name} {
  apiVersion: ${quoted(apiVersion)};
  kind: ${quoted(kind)};
  metadata: ObjectMeta;
${fields.join('')}${isOpen ? openIndex : ''}}
`;
  }

  /** A place for the block, before those of what is inside. */
  #reserve(name: string): number {
    this.#names.add(name);
    return this.blocks.push('') - 1;
  }

  #field(owner: string, name: string, schema: unknown, isRequired: boolean): string {
    const inner = isObject(schema) ? schema : {};
    const type = this.#type(`${owner}${pascal(name)}`, inner);
    return `${comment(inner, '  ')}  ${keyText(name)}${isRequired ? '' : '?'}: ${type};\n`;
  }

  #type(name: string, schema: JsonObject): string {
    const type = this.#plainType(name, schema);
    return schema['nullable'] === true && type !== 'unknown' ? `${type} | null` : type;
  }

  #plainType(name: string, schema: JsonObject): string {
    if (Array.isArray(schema['enum']) && schema['enum'].length > 0)
      return schema['enum'].map((one) => (typeof one === 'string' ? quoted(one) : JSON.stringify(one))).join(' | ');
    if (schema['x-kubernetes-int-or-string'] === true) return 'number | string';
    switch (schema['type']) {
      case 'string':
        return 'string';
      case 'integer':
      case 'number':
        return 'number';
      case 'boolean':
        return 'boolean';
      case 'array': {
        const item = isObject(schema['items']) ? this.#type(`${name}Item`, schema['items']) : 'unknown';
        return /[ |]/.test(item) && !/^[\w<>, ]+$/.test(item) ? `(${item})[]` : `${item}[]`;
      }
      case 'object':
        return this.#objectType(name, schema);
      default:
        return 'unknown';
    }
  }

  #objectType(name: string, schema: JsonObject): string {
    const { properties, additionalProperties: additional } = schema;
    const isResource = schema['x-kubernetes-embedded-resource'] === true;
    if (isObject(properties) && Object.keys(properties).length > 0) return this.#interface(name, schema, isResource);
    if (isObject(additional)) return `Record<string, ${this.#type(`${name}Value`, additional)}>`;
    if (isResource) return '{ apiVersion: string; kind: string; metadata?: ObjectMeta; [key: string]: unknown }';
    const isOpen = additional === true || schema['x-kubernetes-preserve-unknown-fields'] === true;
    return isOpen ? 'Record<string, unknown>' : 'Record<string, never>';
  }

  #interface(wanted: string, schema: JsonObject, isResource: boolean): string {
    let name = wanted;
    for (let next = 2; this.#names.has(name); next++) name = `${wanted}${next}`;
    const at = this.#reserve(name);
    const required = new Set(Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : []);
    const properties = Object.entries(schema['properties'] as JsonObject);
    const own = isResource ? properties.filter(([field]) => !/^(apiVersion|kind|metadata)$/.test(field)) : properties;
    const fields = own.map(([field, inner]) => this.#field(name, field, inner, required.has(field)));
    const head = isResource ? '  apiVersion: string;\n  kind: string;\n  metadata?: ObjectMeta;\n' : '';
    const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true;
    this.blocks[at] =
      `${comment(schema, '')}export interface ${name} {\n${head}${fields.join('')}${isOpen ? openIndex : ''}}\n`;
    return name;
  }
}

/** The description, wrapped, and the default; nothing where there is neither. */
function comment(schema: JsonObject, indent: string): string {
  const description = typeof schema['description'] === 'string' ? schema['description'] : '';
  const lines = description
    .replaceAll('*/', '*\\/')
    .split('\n')
    .flatMap((line) => wrapped(line.trimEnd(), lineMax - indent.length - 3));
  while (lines.at(-1) === '') lines.pop();
  if (schema['default'] !== undefined)
    lines.push(`Default: ${JSON.stringify(schema['default']).replaceAll('*/', '*\\/')}`);
  if (lines.length === 0) return '';
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n')}\n${indent} */\n`;
}
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + word.length + 1 > width) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, line];
}
