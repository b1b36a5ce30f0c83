import { parseExactly } from '#base';
import { ProtobufEncoder } from '../protobuf/encode.ts';
import { envelope } from '../protobuf/envelope.ts';
import table from '../protobuf/gen/table.json';
import { yamlOf } from '../yaml-text.ts';

/** What may run on another thread: bytes to bytes, with nothing of the server's state. */
export type Task =
  /** JSON to YAML. */
  | { readonly type: 'yaml'; readonly json: Uint8Array }
  /** A value that names its type (`v1`, `PodList`) to its protobuf form with envelope. */
  | { readonly type: 'protobuf'; readonly json: Uint8Array };

let encoder: ProtobufEncoder | undefined;

/** The worker's entry, and the same work where there is no worker. */
export default async function run({ type, json }: Task): Promise<Uint8Array> {
  const text = new TextDecoder().decode(json);
  if (type === 'yaml') return Buffer.from(await yamlOf(parseExactly(text)));
  const value = JSON.parse(text) as Record<string, unknown>;
  encoder ??= new ProtobufEncoder(table);
  const [apiVersion, kind] = [String(value['apiVersion']), String(value['kind'])];
  const id = encoder.structId(apiVersion, kind);
  if (id === undefined) throw new Error(`${apiVersion} ${kind} has no protobuf form`);
  return envelope(apiVersion, kind, encoder.message(id, value));
}
