import { facts } from '#api';
import type { OpenApi, ServedKind } from '../contract.ts';
import { pathsOf } from './paths.ts';
import { schemaEntries } from './schemas.ts';

const info = () => ({ title: 'Pintle', version: `v${facts().version}` });
const v3Prefix = '#/components/schemas/';
const v2Prefix = '#/definitions/';
/** What clients look up beside the kinds themselves. */
const common = ['DeleteOptions', 'Status', 'ObjectMeta', 'ListMeta'].map(
  (name) => `io.k8s.apimachinery.pkg.apis.meta.v1.${name}`,
);
const typesOf = (kinds: readonly ServedKind[]): string[] =>
  builtins(kinds).flatMap(({ kind }) =>
    facts().types[`${kind.type}List`] ? [kind.type, `${kind.type}List`] : [kind.type],
  );

const builtins = (kinds: readonly ServedKind[]) => kinds.filter(({ schema }) => !schema);

/** Of kinds that bring their own schema: the kind and its list. */
function* customEntries(kinds: readonly ServedKind[], version: 2 | 3, prefix: string): Generator<[string, unknown]> {
  for (const { kind, schema } of kinds) {
    if (!schema) continue;
    yield [kind.type, schema.openApi(version)];
    const text = { type: 'string' };
    const metadata = { $ref: `${prefix}io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta` };
    const items = { type: 'array', items: { $ref: prefix + kind.type } };
    const gvk = { group: kind.group, version: kind.version, kind: `${kind.kind}List` };
    yield [
      `${kind.type}List`,
      {
        type: 'object',
        required: ['items'],
        properties: { apiVersion: text, kind: text, metadata, items },
        'x-kubernetes-group-version-kind': [gvk],
      },
    ];
  }
}

export const openApi: OpenApi = {
  openApiV3(group, version, kinds) {
    return v3Text(kinds.filter(({ kind }) => kind.group === group && kind.version === version));
  },
  openApiV2: v2Text,
};

function* v3Text(kinds: readonly ServedKind[]): Generator<string> {
  yield `{"openapi":"3.0.0","info":${JSON.stringify(info())},"paths":{`;
  yield* members(pathEntries(kinds, 3, v3Prefix));
  yield '},"components":{"schemas":{';
  yield* members(schemasOf(kinds, v3Prefix, 3));
  yield '}}}';
}

function* v2Text(kinds: readonly ServedKind[]): Generator<string> {
  yield `{"swagger":"2.0","info":${JSON.stringify(info())},"paths":{`;
  yield* members(pathEntries(kinds, 2, v2Prefix));
  yield '},"definitions":{';
  yield* members(schemasOf(kinds, v2Prefix, 2));
  yield '}}';
}

function* schemasOf(kinds: readonly ServedKind[], prefix: string, version: 2 | 3): Generator<[string, unknown]> {
  yield* schemaEntries([...typesOf(kinds), ...common], { prefix, version });
  yield* customEntries(kinds, version, prefix);
}

function* pathEntries(kinds: readonly ServedKind[], version: 2 | 3, prefix: string): Generator<[string, unknown]> {
  for (const served of kinds) yield* Object.entries(pathsOf(served, version, prefix));
}

/** The inside of a JSON object, one piece for each member. */
function* members(entries: Iterable<readonly [string, unknown]>): Generator<string> {
  let comma = '';
  for (const [name, value] of entries) {
    yield `${comma}${JSON.stringify(name)}:${JSON.stringify(value)}`;
    comma = ',';
  }
}
