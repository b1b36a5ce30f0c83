import { apiVersionOf, errors, type ResourceVersion } from '#api';
import { parseExactly } from '#base';
import type { KindSchema } from '#sdk';
import type { Entry } from '../store/store.ts';
import type { AnyKind, AnyObject, ServedKind } from './contract.ts';
import { conversionOf } from './conversions.ts';
import type { Decoded, DecodedPool } from './decoded-pool.ts';
import { sealedWith } from './sealing/seal.ts';
import { objectText } from './stored-text.ts';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** One for each group and plural. */
export const resourceKey = (kind: AnyKind): string => `/registry/${kind.group || 'core'}/${kind.plural}/`;
/** Where the objects of a kind are stored; two forms of one kind share it. */
export const prefixOf = (kind: AnyKind): string => resourceKey(kind.storedAs ?? kind);
/** `namespace/name`, or `name` for cluster-wide kinds. */
export const localKey = (namespace: string, name: string): string => (namespace ? `${namespace}/${name}` : name);
export const storeKey = (kind: AnyKind, namespace: string, name: string): string =>
  prefixOf(kind) + localKey(kind.namespaced ? namespace : '', name);

/** What every stored object of a kind begins with; the version is spliced in right behind it. */
export function headOf(kind: AnyKind): string {
  let head = heads.get(kind);
  if (head === undefined) {
    head = `{"apiVersion":${JSON.stringify(apiVersionOf(kind))},"kind":${JSON.stringify(kind.kind)},"metadata":{`;
    heads.set(kind, head);
  }
  return head;
}
const heads = new WeakMap<AnyKind, string>();

/** The stored text: canonical order and no resourceVersion, which exists only after the commit. */
export function encodeStored({ kind }: Pick<ServedKind, 'kind'>, object: AnyObject): Uint8Array {
  const stored = kind.storedAs ?? kind;
  const form = (conversionOf(kind)?.toStored(object) as AnyObject | undefined) ?? object;
  const { apiVersion: _apiVersion, kind: _kind, metadata, ...rest } = form;
  const text = objectText({
    apiVersion: apiVersionOf(stored),
    kind: stored.kind,
    metadata: metadata.resourceVersion === undefined ? metadata : { ...metadata, resourceVersion: undefined },
    ...rest,
  });
  return encoder.encode(text);
}

/** The same where versions differ by more than their name. */
export async function encodeConverted(served: ServedKind, object: AnyObject): Promise<Uint8Array> {
  const { conversion, kind } = served;
  if (!conversion || !kind.storedAs) return encodeStored(served, object);
  const [form] = await conversion.convert([object], apiVersionOf(kind.storedAs));
  return encodeStored({ kind: kind.storedAs }, form!);
}
/** What a stored text says of itself. */
const storedApiVersion = (stored: Uint8Array): string | undefined =>
  /^\{"apiVersion":"([^"]*)"/.exec(
    Buffer.from(stored.buffer, stored.byteOffset, Math.min(stored.length, 400)).toString(),
  )?.[1];

/** One state of one object: its bytes once, with the version in them as soon as anybody reads it; decoded on demand. */
export class CachedObject implements Decoded {
  readonly namespace: string;
  readonly name: string;
  /** Undefined once `#bytes` holds the same text around the version. */
  #stored: Uint8Array | undefined;
  #bytes: Uint8Array | undefined;
  #object: AnyObject | undefined;
  /** In the version that is served, where a conversion made it. */
  #converted: AnyObject | undefined;
  #pool: DecodedPool | undefined;
  #used = false;
  #fields: Readonly<Record<string, string>> | undefined;
  #labels: Readonly<Record<string, string>> | undefined;

  constructor(
    readonly served: ServedKind,
    readonly key: string,
    readonly version: ResourceVersion,
    /** As stored: without a version. */
    stored: Uint8Array,
  ) {
    this.#stored = stored;
    const start = prefixOf(served.kind).length;
    const slash = key.indexOf('/', start);
    this.namespace = slash < 0 ? '' : key.slice(start, slash);
    this.name = key.slice(slash < 0 ? start : slash + 1);
  }
  static of(served: ServedKind, entry: Entry): CachedObject {
    return new CachedObject(served, entry.key, entry.version, entry.value);
  }
  /** The same state under another version: the last state of what was deleted. */
  at(version: ResourceVersion): CachedObject {
    const same = new CachedObject(this.served, this.key, version, this.stored);
    same.#converted = this.#converted;
    return same;
  }
  /** Stored in another version, and not converted yet: only its metadata can be read. */
  get needsConversion(): boolean {
    const { conversion, kind } = this.served;
    if (!conversion || this.#converted || this.#bytes) return false;
    return storedApiVersion(this.#stored!) !== apiVersionOf(kind);
  }
  /** Converts those that need it, in one call. All of one kind. */
  static async convert(objects: readonly CachedObject[]): Promise<void> {
    const waiting = objects.filter((object) => object.needsConversion);
    const { conversion, kind } = waiting[0]?.served ?? {};
    if (!conversion || !kind) return;
    const stored = waiting.map((object) => parseExactly(decoder.decode(object.stored)) as AnyObject);
    for (const object of stored) waiting[0]!.served.schema?.readStored?.(object);
    const converted = await conversion.convert(stored, apiVersionOf(kind));
    for (const [index, object] of waiting.entries()) {
      object.#converted = converted[index];
      object.#fields = undefined; // what was seen of the stored version
      object.#labels = undefined;
    }
  }
  /** What can be read of it without waiting for a conversion. */
  get readable(): Readonly<AnyObject> {
    return this.needsConversion ? this.#unversioned() : this.object;
  }
  /** Set when the store could not open what is sealed: the id of the key, empty when even that is damaged. Only its name is known then. */
  get sealedWith(): string | undefined {
    return this.#stored && sealedWith(this.#stored);
  }
  /** As stored: without a version. */
  get stored(): Uint8Array {
    return this.#stored ?? cut(headOf(this.served.kind), this.version, this.#bytes!);
  }
  /** Without making them again where only the length or the text is asked for. */
  get storedLength(): number {
    return this.#stored?.length ?? this.#bytes!.length - versionMember(this.version).length;
  }
  isStoredAs(bytes: Uint8Array): boolean {
    if (this.#stored) return Buffer.compare(bytes, this.#stored) === 0;
    const start = headOf(this.served.kind).length;
    const rest = this.#bytes!.subarray(start + versionMember(this.version).length);
    return (
      bytes.length === start + rest.length &&
      Buffer.compare(bytes.subarray(start), rest) === 0 &&
      Buffer.compare(bytes.subarray(0, start), this.#bytes!.subarray(0, start)) === 0
    );
  }
  get bytes(): Uint8Array {
    if (this.#bytes) return this.#bytes;
    const stored = this.#stored!;
    const head = headOf(this.served.kind);
    const served = this.#served();
    this.#bytes = splice(head, this.version, served);
    if (served === stored && startsWith(stored, head)) this.#stored = undefined;
    return this.#bytes;
  }
  /** Length of `bytes`, which are not made for it where the stored text only lacks its version. */
  get size(): number {
    const stored = this.#bytes ? undefined : this.#splicable();
    return stored ? stored.length + versionMember(this.version).length : this.bytes.length;
  }
  /** A byte of what `bytes` begin with, before the version. */
  headByte(at: number): number | undefined {
    return (this.#bytes ?? this.#splicable() ?? this.bytes)[at];
  }
  /** Writes `bytes` from `from` on, which lies before the version, and makes nothing. How many it wrote. */
  copyTo(out: Buffer, at: number, from: number): number {
    const stored = this.#bytes ? undefined : this.#splicable();
    if (!stored) {
      const { bytes } = this;
      copy.call(bytes, out, at, from);
      return bytes.length - from;
    }
    const headEnd = headBytesOf(this.served.kind).length;
    let to = at + copy.call(stored, out, at, from, headEnd);
    to += out.write(versionMember(this.version), to, 'latin1');
    return to + copy.call(stored, out, to, headEnd) - at;
  }
  /** The stored text, where it is what is served but for the version. */
  #splicable(): Uint8Array | undefined {
    const { schema, kind } = this.served;
    if (schema || !this.#stored || conversionOf(kind)) return undefined;
    const head = headBytesOf(kind);
    for (let at = head.length - 1; at >= 0; at--) if (this.#stored[at] !== head[at]) return undefined;
    return this.#stored;
  }
  get object(): Readonly<AnyObject> {
    this.#used = true;
    if (this.#object) return this.#object;
    this.#object = this.draft();
    this.#pool?.add(this);
    return this.#object;
  }
  /**
   * Whoever wrote this state has it decoded: kept, so that the next write to it parses nothing. Nobody may change it any more.
   * Not where what is served is another form than what was written, nor where the text would come back as another value.
   */
  adopt(written: Readonly<AnyObject>): void {
    const { schema, conversion, kind } = this.served;
    if (schema || conversion || kind.storedAs || conversionOf(kind) || !comesBack(written)) return;
    const { apiVersion, kind: name, metadata, ...rest } = written;
    const versioned = Object.assign({ resourceVersion: this.version }, metadata);
    versioned.resourceVersion = this.version;
    this.#object = { apiVersion, kind: name, metadata: versioned, ...rest };
  }
  /** From now on the decoded form lives only as long as this pool keeps it; one that was adopted, as long as `recent` does. */
  decodeIn(pool: DecodedPool, recent = pool): void {
    this.#pool = pool;
    if (this.#object) recent.add(this);
  }
  get decodedBytes(): number {
    return (this.#bytes ?? this.#stored!).byteLength;
  }
  takeUsed(): boolean {
    const used = this.#used;
    this.#used = false;
    return used;
  }
  forget(): void {
    this.#object = undefined;
  }
  /** The stored bytes in the form of the kind that is served. */
  #served(): Uint8Array {
    const { kind } = this.served;
    const conversion = conversionOf(kind);
    if (this.served.rest) return this.stored; // its answerer's own words
    if (this.served.schema) return this.#custom(this.served.schema);
    if (!conversion) return this.stored;
    const {
      apiVersion: _version,
      kind: _kind,
      metadata,
      ...rest
    } = conversion.fromStored(JSON.parse(decoder.decode(this.stored)) as AnyObject);
    return Buffer.from(JSON.stringify({ apiVersion: apiVersionOf(kind), kind: kind.kind, metadata, ...rest }));
  }
  /** Stored under another schema or version: brought to the one that is served. */
  #custom(schema: KindSchema): Uint8Array {
    const { kind } = this.served;
    if (this.needsConversion) throw errors.internal(`${this.key} was not converted to ${apiVersionOf(kind)}`);
    const object = this.#converted
      ? structuredClone(this.#converted)
      : (parseExactly(decoder.decode(this.stored)) as AnyObject);
    // Defaults are those of the version that is stored: what is converted gets no more of them.
    const isOther = this.#converted !== undefined || object.apiVersion !== apiVersionOf(kind);
    if (isOther && !this.#converted) schema.readStored?.(object);
    const pruned = schema.prune(object).length > 0;
    if (!isOther && !schema.applyDefaults(object) && !pruned) return this.stored;
    return encodeStored({ kind: { ...kind, storedAs: undefined } }, object);
  }
  /** A copy that its owner may change. */
  draft(): AnyObject {
    const text = decoder.decode(this.bytes);
    return (this.served.schema ? parseExactly(text) : JSON.parse(text)) as AnyObject;
  }
  /** What field selectors see. Kept, other than the decoded object: selectors look at every object again and again. */
  get fields(): Readonly<Record<string, string>> {
    if (!this.#fields) this.readSelectable();
    return this.#fields!;
  }
  /** What label selectors see. */
  get labels(): Readonly<Record<string, string>> {
    if (!this.#labels) this.readSelectable();
    return this.#labels!;
  }
  /** Neither kept nor with a version: most objects are never read after they were indexed. */
  #unversioned(): AnyObject {
    return JSON.parse(
      decoder.decode(this.#bytes ?? (this.needsConversion ? this.stored : this.#served())),
    ) as AnyObject;
  }
  /** `known`: this state decoded, from somebody who has it anyway. It is not kept. */
  readSelectable(known?: Readonly<AnyObject>): void {
    const object = known ?? this.#object ?? this.#unversioned();
    this.#labels = object.metadata.labels ?? noLabels;
    this.#fields = {
      'metadata.name': this.name,
      ...(this.served.kind.namespaced ? { 'metadata.namespace': this.namespace } : {}),
      ...this.served.strategy.selectableFields?.(object),
    };
  }
}
/** Works on every array of bytes, with no view made for it. */
const { copy } = Buffer.prototype;
const headBytes = new WeakMap<AnyKind, Uint8Array>();
function headBytesOf(kind: AnyKind): Uint8Array {
  let head = headBytes.get(kind);
  if (!head) headBytes.set(kind, (head = Buffer.from(headOf(kind))));
  return head;
}
const noLabels: Readonly<Record<string, string>> = {};

/** JSON keeps all of it: no value is undefined, no number is one that JSON has not. The owners of fields are always made so. */
function comesBack(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (Array.isArray(value)) return value.every(comesBack);
  for (const name in value)
    if (name !== 'managedFields' && !comesBack((value as Record<string, unknown>)[name])) return false;
  return true;
}

/** Nothing for what has no version. */
const versionMember = (version: string): string => version && `"resourceVersion":"${version}",`;
/** Kinds and versions are ASCII. */
function startsWith(value: Uint8Array, head: string): boolean {
  for (let at = 0; at < head.length; at++) if (value[at] !== head.charCodeAt(at)) return false;
  return true;
}

function splice(head: string, version: string, stored: Uint8Array): Uint8Array {
  if (startsWith(stored, head)) {
    const start = head + versionMember(version);
    const out = new Uint8Array(stored.length + start.length - head.length);
    encoder.encodeInto(start, out);
    out.set(stored.subarray(head.length), start.length);
    return out;
  }
  const object = JSON.parse(decoder.decode(stored)) as AnyObject; // written by a server with another canonical form
  object.metadata.resourceVersion = version;
  return Buffer.from(JSON.stringify(object));
}

/** The inverse of `splice` for what has the canonical form. */
function cut(head: string, version: string, bytes: Uint8Array): Uint8Array {
  const inserted = versionMember(version).length;
  const out = new Uint8Array(bytes.length - inserted);
  out.set(bytes.subarray(0, head.length));
  out.set(bytes.subarray(head.length + inserted), head.length);
  return out;
}
