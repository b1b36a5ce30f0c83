import { apiVersionOf } from '#api';
import type { CachedObject } from '../cached-object.ts';
import type { AnyKind } from '../contract.ts';
import { ProtobufEncoder } from './encode.ts';
import { envelope, messageOf, readVarint, varintBytes } from './envelope.ts';
import table from './gen/table.json';
import { MessagePieces } from './message-pieces.ts';

/** Messages kept beside the watch cache; the oldest go first. */
export const keptBytesMax = 64 * 1024 * 1024;
const entryOverheadBytes = 128;

/** Protobuf forms of objects, made on first demand and kept within a bound. */
export class Encodings {
  readonly #encoder = new ProtobufEncoder(table);
  readonly #kept = new Map<CachedObject, Uint8Array>();
  readonly #structs = new Map<AnyKind, string | undefined>();
  #keptBytes = 0;

  constructor(private readonly bytesMax = keptBytesMax) {}

  /** Custom kinds have none. */
  has(kind: AnyKind): boolean {
    return this.#structOf(kind) !== undefined;
  }
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** The message of an object, without the envelope. */
  message(object: CachedObject): Uint8Array {
    const known = this.#kept.get(object);
    if (known) return known;
    const made = this.#encoder.message(this.#structOf(object.served.kind)!, object.object);
    this.#keep(object, made);
    return made;
  }
  keeps(object: CachedObject): boolean {
    return this.#kept.has(object);
  }
  /** The items of a list that was encoded elsewhere; in the same order. */
  keepAll(objects: readonly CachedObject[], list: Uint8Array): void {
    let index = 0;
    for (const message of itemsOf(list)) this.#keep(objects[index++]!, message);
  }
  #keep(object: CachedObject, made: Uint8Array): void {
    this.#kept.set(object, made);
    this.#keptBytes += made.length + entryOverheadBytes;
    for (const [oldest, bytes] of this.#kept) {
      if (this.#keptBytes <= this.bytesMax) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= bytes.length + entryOverheadBytes;
    }
  }
  /** An object with its envelope. */
  object(object: CachedObject): Uint8Array {
    const { kind } = object.served;
    return envelope(apiVersionOf(kind), kind.kind, this.message(object));
  }
  /** Any JSON value that names its type and has a form (Status, PartialObjectMetadata, …); undefined otherwise. */
  value(value: unknown): Uint8Array | undefined {
    const { apiVersion = '', kind = '' } = value as { apiVersion?: string; kind?: string };
    const id = this.#encoder.structId(apiVersion, kind);
    return id === undefined
      ? undefined
      : envelope(apiVersion, kind, this.#encoder.message(id, value as Record<string, unknown>));
  }

  /** `PodList` and the like: the items' messages are copied, not encoded anew. */
  list(kind: AnyKind, metadata: object, objects: readonly CachedObject[]): Uint8Array {
    return this.listPieces(kind, metadata, objects).whole();
  }
  /** The same in parts, of which most are the kept messages themselves. */
  listPieces(kind: AnyKind, metadata: object, objects: readonly CachedObject[]): MessagePieces {
    const listMeta = this.#encoder.message('meta/v1.ListMeta', metadata as Record<string, unknown>);
    const messages = objects.map((object) => this.message(object));
    return new MessagePieces(apiVersionOf(kind), `${kind.kind}List`, listMeta, messages);
  }

  #structOf(kind: AnyKind): string | undefined {
    if (!this.#structs.has(kind)) {
      const id = this.#encoder.structId(apiVersionOf(kind), kind.kind);
      this.#structs.set(kind, id?.startsWith('meta/') ? undefined : id);
    }
    return this.#structs.get(kind);
  }
}

/** The items (field 2) of a list's message inside its envelope, each a copy of its own. */
function* itemsOf(list: Uint8Array): Generator<Uint8Array> {
  const message = messageOf(list);
  for (let at = 0; at < message.length; ) {
    const tag = message[at++]!;
    const [length, start] = readVarint(message, at);
    if (tag === 0x12) yield message.slice(start, start + length);
    at = start + length;
  }
}

/** One frame of a watch: its length in four bytes, then WatchEvent {type, object}. */
export function watchFrame(type: string, object: Uint8Array): Buffer {
  const name = Buffer.from(type);
  const raw = [0x0a, ...varintBytes(object.length)];
  const size = varintBytes(raw.length + object.length);
  const head = [0x0a, name.length, ...name, 0x12, ...size, ...raw];
  const out = Buffer.allocUnsafe(4 + head.length + object.length);
  out.writeUInt32BE(head.length + object.length, 0);
  out.set(head, 4);
  out.set(object, 4 + head.length);
  return out;
}
