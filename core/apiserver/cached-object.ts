import { apiVersionOf, type ResourceVersion } from '#api';
import type { Entry } from '../store/store.ts';
import type { AnyKind, AnyObject, ServedKind } from './contract.ts';
import { conversionOf } from './conversions.ts';

const decoder = new TextDecoder();

/** One for each group and plural. */
export const resourceKey = (kind: AnyKind): string => `/registry/${kind.group || 'core'}/${kind.plural}/`;
/** Where the objects of a kind are stored; two forms of one kind share it. */
export const prefixOf = (kind: AnyKind): string => resourceKey(kind.storedAs ?? kind);
/** `namespace/name`, or `name` for cluster-wide kinds. */
export const localKey = (namespace: string, name: string): string => (namespace ? `${namespace}/${name}` : name);
export const storeKey = (kind: AnyKind, namespace: string, name: string): string =>
  prefixOf(kind) + localKey(kind.namespaced ? namespace : '', name);

/** What every stored object of a kind begins with; the version is spliced in right behind it. */
export const headOf = (kind: AnyKind): string =>
  `{"apiVersion":${JSON.stringify(apiVersionOf(kind))},"kind":${JSON.stringify(kind.kind)},"metadata":{`;

/** The stored text: canonical order and no resourceVersion, which exists only after the commit. */
export function encodeStored(kind: AnyKind, object: AnyObject): Uint8Array {
  const stored = kind.storedAs ?? kind;
  const form = (conversionOf(kind)?.toStored(object) as AnyObject | undefined) ?? object;
  const { apiVersion: _apiVersion, kind: _kind, metadata, ...rest } = form;
  const text = JSON.stringify({
    apiVersion: apiVersionOf(stored),
    kind: stored.kind,
    metadata: { ...metadata, resourceVersion: undefined },
    ...rest,
  });
  return Buffer.from(text);
}

/** One state of one object: bytes with the version in them, decoded on first demand. */
export class CachedObject {
  readonly namespace: string;
  readonly name: string;
  #bytes: Uint8Array | undefined;
  #object: AnyObject | undefined;
  #fields: Readonly<Record<string, string>> | undefined;

  constructor(
    readonly served: ServedKind,
    readonly key: string,
    readonly version: ResourceVersion,
    /** As stored: without a version. */
    readonly stored: Uint8Array,
  ) {
    const local = key.slice(prefixOf(served.kind).length);
    const slash = local.indexOf('/');
    this.namespace = slash < 0 ? '' : local.slice(0, slash);
    this.name = slash < 0 ? local : local.slice(slash + 1);
  }
  static of(served: ServedKind, entry: Entry): CachedObject {
    return new CachedObject(served, entry.key, entry.version, entry.value);
  }
  /** The same state under another version: the last state of what was deleted. */
  at(version: ResourceVersion): CachedObject {
    return new CachedObject(this.served, this.key, version, this.stored);
  }
  get bytes(): Uint8Array {
    this.#bytes ??= splice(headOf(this.served.kind), this.version, this.#served());
    return this.#bytes;
  }
  get object(): Readonly<AnyObject> {
    this.#object ??= JSON.parse(decoder.decode(this.bytes)) as AnyObject;
    return this.#object;
  }
  /** The stored bytes in the form of the kind that is served. */
  #served(): Uint8Array {
    const { kind } = this.served;
    const conversion = conversionOf(kind);
    if (!conversion) return this.stored;
    const {
      apiVersion: _version,
      kind: _kind,
      metadata,
      ...rest
    } = conversion.fromStored(JSON.parse(decoder.decode(this.stored)) as AnyObject);
    return Buffer.from(JSON.stringify({ apiVersion: apiVersionOf(kind), kind: kind.kind, metadata, ...rest }));
  }
  /** A copy that its owner may change. */
  draft(): AnyObject {
    return JSON.parse(decoder.decode(this.bytes)) as AnyObject;
  }
  /** What field selectors see. */
  get fields(): Readonly<Record<string, string>> {
    this.#fields ??= {
      'metadata.name': this.name,
      ...(this.served.kind.namespaced ? { 'metadata.namespace': this.namespace } : {}),
      ...this.served.strategy.selectableFields?.(this.object),
    };
    return this.#fields;
  }
}

function splice(head: string, version: string, stored: Uint8Array): Uint8Array {
  const value = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const inserted = `"resourceVersion":"${version}",`;
  const offset = Buffer.byteLength(head);
  if (value.toString('utf8', 0, offset) === head) {
    const out = Buffer.allocUnsafe(value.length + inserted.length);
    value.copy(out, 0, 0, offset);
    out.write(inserted, offset, 'latin1');
    value.copy(out, offset + inserted.length, offset);
    return out;
  }
  const object = JSON.parse(value.toString()) as AnyObject; // written by a server with another canonical form
  object.metadata.resourceVersion = version;
  return Buffer.from(JSON.stringify(object));
}
