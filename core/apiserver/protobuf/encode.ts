import type { Table } from './decode.ts';
import { BackwardWriter } from './writer.ts';

type JsonObject = Readonly<Record<string, unknown>>;
type Write = (writer: BackwardWriter, value: unknown) => void;
interface FieldPlan {
  /** JSON name; empty for an inlined struct, whose fields are the object's own. */
  readonly name: string;
  /** Go writes what is no pointer even when it is empty. */
  readonly always: boolean;
  readonly write: Write;
}
const bytesWire = 2;

/** Encodes JSON objects of the kinds in the table, byte for byte as upstream does: fields ascending, map keys sorted. */
export class ProtobufEncoder {
  readonly #plans = new Map<string, readonly FieldPlan[]>();
  readonly #writer = new BackwardWriter();

  constructor(private readonly table: Table) {}

  /** The struct id of a kind, if it has a form. */
  structId(apiVersion: string, kind: string): string | undefined {
    const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
    return [`${group!.split('.')[0]}/${version}.${kind}`, `meta/v1.${kind}`].find((id) =>
      Object.hasOwn(this.table, id),
    );
  }
  /** The message alone, without the envelope. */
  message(structId: string, object: JsonObject): Uint8Array {
    const writer = this.#writer;
    writer.clear();
    this.#struct(structId, writer, object);
    return writer.copy();
  }

  #struct(id: string, writer: BackwardWriter, object: JsonObject): void {
    const plan = this.#planOf(id);
    for (let index = plan.length - 1; index >= 0; index--) {
      const { name, always, write } = plan[index]!;
      const value = name === '' ? object : object[name];
      if (value !== undefined && value !== null) write(writer, value);
      else if (always) write(writer, undefined);
    }
  }

  #planOf(id: string): readonly FieldPlan[] {
    const known = this.#plans.get(id);
    if (known) return known;
    const plan: FieldPlan[] = [];
    this.#plans.set(id, plan);
    for (const [number, spec] of Object.entries(this.table[id]!).sort(([a], [b]) => Number(a) - Number(b))) {
      const colon = spec.indexOf(':');
      const pointer = spec[colon + 1] === '*';
      const type = spec.slice(colon + (pointer ? 2 : 1));
      plan.push({
        name: spec.slice(0, colon),
        always: !pointer && !/^(\[\]|\{\}|y|l)/.test(type),
        write: this.#writeOf(type, Number(number)),
      });
    }
    return plan;
  }

  #writeOf(type: string, number: number): Write {
    if (type.startsWith('[]')) {
      const one = this.#writeOf(type.slice(2), number);
      return (writer, value) => {
        const list = value as unknown[];
        for (let index = list.length - 1; index >= 0; index--) one(writer, list[index] ?? undefined);
      };
    }
    if (type.startsWith('{}')) return this.#writeMap(type.slice(2), number);
    const wire = type === 'i' || type === 'u' || type === 'b' ? 0 : type === 'd' ? 1 : bytesWire;
    const tag = (number << 3) | wire;
    const content = this.#content(type);
    if (wire !== bytesWire)
      return (writer, value) => {
        content(writer, value);
        writer.varint(tag);
      };
    return (writer, value) => {
      const before = writer.length;
      content(writer, value);
      writer.varint(writer.length - before);
      writer.varint(tag);
    };
  }

  #writeMap(type: string, number: number): Write {
    // A list as a map's value is a message of its own in Go, with the elements as its field 1.
    const inner = type.startsWith('[]') ? this.#writeOf(type, 1) : undefined;
    const value: Write = inner
      ? (writer, list) => {
          const before = writer.length;
          inner(writer, list);
          writer.varint(writer.length - before);
          writer.varint((2 << 3) | bytesWire);
        }
      : this.#writeOf(type, 2);
    const key = this.#writeOf('s', 1);
    const tag = (number << 3) | bytesWire;
    return (writer, map) => {
      const entries = Object.entries(map as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1));
      for (const [name, element] of entries.reverse()) {
        const before = writer.length;
        value(writer, element ?? (inner ? [] : undefined));
        key(writer, name);
        writer.varint(writer.length - before);
        writer.varint(tag);
      }
    };
  }

  /** What stands behind tag and length. `undefined` is the type's empty value. */
  #content(type: string): Write {
    if (type.startsWith('@')) {
      const id = type.slice(1);
      return (writer, value) => this.#struct(id, writer, (value ?? {}) as JsonObject);
    }
    switch (type) {
      case 's':
        return (writer, value) => writer.text((value as string | undefined) ?? '');
      case 'b':
        return (writer, value) => writer.byte(value ? 1 : 0);
      case 'i':
      case 'u':
        return (writer, value) => writer.varint((value as number | undefined) ?? 0);
      case 'd':
        return (writer, value) => writer.double((value as number | undefined) ?? 0);
      case 'y':
        return (writer, value) => writer.raw(Buffer.from((value as string | undefined) ?? '', 'base64'));
      case 'q':
        return (writer, value) => writeText(writer, 1, String(value ?? '0'));
      case 't':
      case 'm':
        return (writer, value) => writeTime(writer, value as string | undefined);
      case 'x':
        return writeIntOrString;
      case 'l': {
        const items = this.#writeOf('[]s', 1);
        return (writer, value) => items(writer, value ?? []);
      }
      case 'A':
      case 'B':
      case 'S':
        return this.#either(type);
      default:
        return (writer, value) => {
          if (value !== undefined) writeText(writer, 1, JSON.stringify(value)); // FieldsV1 and RawExtension hold JSON
        };
    }
  }

  /** In schemas: one schema, or else a boolean, more schemas, names. */
  #either(type: 'A' | 'B' | 'S'): Write {
    const schema = '@apiextensions/v1.JSONSchemaProps';
    const allows = this.#writeOf('b', 1);
    const rest = this.#writeOf(type === 'S' ? '[]s' : `[]${schema}`, 2);
    return (writer, value) => {
      const isOne = typeof value === 'object' && value !== null && !Array.isArray(value);
      if (isOne) this.#writeOf(schema, type === 'B' ? 2 : 1)(writer, value);
      if (type === 'B') allows(writer, isOne || value === true);
      else if (Array.isArray(value)) rest(writer, value);
    };
  }
}

function writeText(writer: BackwardWriter, number: number, text: string): void {
  const before = writer.length;
  writer.text(text);
  writer.varint(writer.length - before);
  writer.varint((number << 3) | bytesWire);
}

/** Seconds and nanoseconds; the zero time is an empty message. */
function writeTime(writer: BackwardWriter, text: string | undefined): void {
  if (text === undefined) return;
  const fraction = /\.(\d+)Z$/.exec(text)?.[1] ?? '';
  writer.varint(Number(fraction.padEnd(9, '0').slice(0, 9)));
  writer.varint(2 << 3);
  writer.varint(Math.floor(Date.parse(text) / 1000));
  writer.varint(1 << 3);
}

function writeIntOrString(writer: BackwardWriter, value: unknown): void {
  writeText(writer, 3, typeof value === 'string' ? value : '');
  writer.varint(typeof value === 'number' ? value : 0);
  writer.varint(2 << 3);
  writer.varint(typeof value === 'string' ? 1 : 0);
  writer.varint(1 << 3);
}
