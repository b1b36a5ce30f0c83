import { facts } from '#api';
import type { OpenApi, ServedKind } from '../contract.ts';
import { pathsOf } from './paths.ts';
import { schemasOf } from './schemas.ts';

const info = () => ({ title: 'Pintle', version: `v${facts().version}` });
const v3Prefix = '#/components/schemas/';
const v2Prefix = '#/definitions/';
/** What clients look up beside the kinds themselves. */
const common = ['DeleteOptions', 'Status', 'ObjectMeta', 'ListMeta'].map(
  (name) => `io.k8s.apimachinery.pkg.apis.meta.v1.${name}`,
);
const typesOf = (kinds: readonly ServedKind[]): string[] =>
  kinds.flatMap(({ kind }) => (facts().types[`${kind.type}List`] ? [kind.type, `${kind.type}List`] : [kind.type]));

/** Made on demand and not kept: a client asks once and caches by the hash in the index. */
export const openApi: OpenApi = {
  openApiV3(group, version, kinds) {
    const mine = kinds.filter(({ kind }) => kind.group === group && kind.version === version);
    if (mine.length === 0) return undefined;
    return {
      openapi: '3.0.0',
      info: info(),
      paths: Object.assign({}, ...mine.map((served) => pathsOf(served, 3, v3Prefix))) as Record<string, unknown>,
      components: { schemas: schemasOf([...typesOf(mine), ...common], { prefix: v3Prefix, version: 3 }) },
    };
  },
  openApiV2: (kinds) => ({
    swagger: '2.0',
    info: info(),
    paths: Object.assign({}, ...kinds.map((served) => pathsOf(served, 2, v2Prefix))) as Record<string, unknown>,
    definitions: schemasOf([...typesOf(kinds), ...common], { prefix: v2Prefix, version: 2 }),
  }),
};
