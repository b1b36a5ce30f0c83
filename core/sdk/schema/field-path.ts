import type { SchemaNode } from './node.ts';

export type FoundPath = { readonly path: string; readonly schema: SchemaNode } | { readonly error: string };
const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  "'": "'",
  '\\': '\\',
};

/** A path of fields and keys, such as `.spec.x['a.b']`, followed through the schema. */
export function followPath(text: string, root: SchemaNode, allowsKeys = true): FoundPath {
  const tokens = text.match(/'(?:[^'\\]|\\.)*'|[.[\]]|[^.[\]']+/g) ?? [];
  let schema = root;
  let path = '';
  for (let at = 0; at < tokens.length; at++) {
    let name: string;
    if (tokens[at] === '.') {
      name = tokens[++at] ?? '';
      if (!name) return { error: 'unexpected end of JSON path' };
    } else if (tokens[at] === '[') {
      if (!allowsKeys) return { error: 'array notation is not allowed' };
      const quoted = tokens[++at];
      if (quoted === undefined) return { error: 'unexpected end of JSON path' };
      if (!/^'.*'$/s.test(quoted)) return { error: `expected single quoted string but got ${quoted}` };
      const wrong = /\\([^abfnrtv'\\])/.exec(quoted);
      if (wrong) return { error: `invalid string literal: invalid escape char ${wrong[0]}` };
      name = quoted.slice(1, -1).replace(/\\(.)/g, (_, char: string) => escapes[char]!);
      const end = tokens[++at];
      if (end === undefined) return { error: 'unexpected end of JSON path' };
      if (end !== ']') return { error: `expected ] but got ${end}` };
    } else return { error: `expected [ or . but got: ${tokens[at]}` };
    const property = schema.properties?.get(name);
    const next = schema.properties ? property : typeof schema.additional === 'object' ? schema.additional : undefined;
    if (!next) return { error: 'does not refer to a valid field' };
    path = !schema.properties ? `${path}[${name}]` : path ? `${path}.${name}` : name;
    schema = next;
  }
  return { path, schema };
}
