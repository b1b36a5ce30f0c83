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
  kinds.flatMap(({ kind }) => (facts().types[`${kind.type}List`] ? [kind.type, `${kind.type}List`] : [kind.type]));

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
  yield* members(schemaEntries([...typesOf(kinds), ...common], { prefix: v3Prefix, version: 3 }));
  yield '}}}';
}

function* v2Text(kinds: readonly ServedKind[]): Generator<string> {
  yield `{"swagger":"2.0","info":${JSON.stringify(info())},"paths":{`;
  yield* members(pathEntries(kinds, 2, v2Prefix));
  yield '},"definitions":{';
  yield* members(schemaEntries([...typesOf(kinds), ...common], { prefix: v2Prefix, version: 2 }));
  yield '}}';
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
