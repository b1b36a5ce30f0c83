import { bytesAnswer } from './answer.ts';
import type { CachedObject } from './cached-object.ts';
import type { Call } from './core.ts';
import { isPlain, viewObject, viewOf } from './views.ts';

/** One object in the form the client asked for. */
export async function objectAnswer(call: Call, object: CachedObject, status = 200): Promise<Response> {
  const view = viewOf(call.wanted, call.info.query, call.nowMs);
  if (isPlain(view)) return bytesAnswer(call.request, object.version ? object.bytes : object.stored, { status });
  return valueAnswer(call, viewObject(view, object), status);
}

export async function valueAnswer(call: Call, value: unknown, status = 200): Promise<Response> {
  if (call.wanted.format === 'yaml') {
    const { stringify } = await import('yaml');
    return bytesAnswer(call.request, stringify(value, { aliasDuplicateObjects: false }), {
      status,
      type: 'application/yaml',
    });
  }
  return bytesAnswer(call.request, JSON.stringify(value, null, call.wanted.pretty ? 2 : undefined), {
    status,
  });
}
