import { type Field, type KindSchema, schemas } from '#sdk';
import type { Version } from './kind.ts';

type Json = Record<string, unknown>;
const nothing: Json = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

export interface CustomSchema extends KindSchema {
  /** Compiled on first use: a cluster has thousands of schemas, and writes objects of few. */
  node(): schemas.SchemaNode;
}

export function customSchema(
  version: Version,
  gvk: { group: string; version: string; kind: string },
  revision: string,
  /** Of the versions of this kind, by name: made later than this one. */
  others: ReadonlyMap<string, KindSchema> = new Map(),
): CustomSchema {
  // A cluster has thousands of them, mostly text that nobody reads: it is kept small, and never as the objects of the definition.
  const packed = Bun.zstdCompressSync(JSON.stringify(version.schema?.openAPIV3Schema ?? nothing));
  const raw = () => JSON.parse(Bun.zstdDecompressSync(packed).toString()) as Json;
  let compiled: schemas.SchemaNode | undefined;
  const node = () => (compiled ??= schemas.compileSchema(raw()));
  return {
    revision,
    node,
    prune: (object) => schemas.prune(node(), object),
    applyDefaults: (object) => schemas.applyDefaults(withoutMetadata(node()), object),
    readStored(object) {
      const stored = others.get(String(object['apiVersion']).split('/').at(-1)!);
      stored?.prune(object);
      stored?.applyDefaults(object);
    },
    get owned(): Field {
      return schemas.ownedFields(node(), true);
    },
    openApi: (dialect) => schemas.documentOf(raw(), gvk, dialect),
  };
}

const trimmed = new WeakMap<schemas.SchemaNode, schemas.SchemaNode>();
/** Metadata is the server's own: a schema says nothing about its defaults. */
function withoutMetadata(node: schemas.SchemaNode): schemas.SchemaNode {
  const known = trimmed.get(node);
  if (known) return known;
  const properties = node.properties && new Map([...node.properties].filter(([name]) => name !== 'metadata'));
  const made = { ...node, properties };
  trimmed.set(node, made);
  return made;
}
