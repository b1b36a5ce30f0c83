import { bytesAnswer } from './answer.ts';
import type { CachedObject } from './cached-object.ts';
import type { Call } from './core.ts';
import { protobufType, yamlType } from './negotiate.ts';
import { isPlain, type View, viewObject, viewOf } from './views.ts';
import { yamlText } from './yaml-text.ts';

/** One object in the form the client asked for. */
export function objectAnswer(call: Call, object: CachedObject, status = 200): Response | Promise<Response> {
  const view = viewOf(call);
  if (isPlain(view)) return bytesAnswer(call.request, object.version ? object.bytes : object.stored, { status });
  if (isMessage(view))
    return bytesAnswer(call.request, call.core.encodings.object(object), { status, type: protobufType });
  return valueAnswer(call, viewObject(view, object), status);
}

/** Of JSON: YAML of it takes 10 ms and more. */
const heavyFromBytes = 32 * 1024;

/** True: the protobuf forms of the objects themselves are the answer. */
export const isMessage = ({ wanted }: View): boolean => wanted.format === 'protobuf' && wanted.as === 'object';

export async function valueAnswer(call: Call, value: unknown, status = 200): Promise<Response> {
  const { format, pretty } = call.wanted;
  const { heavy } = call.core.options;
  if (format === 'yaml' && heavy) {
    const json = Buffer.from(JSON.stringify(value));
    if (json.length >= heavyFromBytes)
      return bytesAnswer(call.request, await heavy.run({ type: 'yaml', json }), { status, type: yamlType });
  }
  if (format === 'yaml') return bytesAnswer(call.request, await yamlText(value), { status, type: yamlType });
  const message = format === 'protobuf' ? call.core.encodings.value(value) : undefined;
  if (message) return bytesAnswer(call.request, message, { status, type: protobufType });
  return bytesAnswer(call.request, JSON.stringify(value, null, pretty ? 2 : undefined), { status });
}
