import { errors, isResourceVersion } from '#api';
import { type Call, mustGet } from '../core.ts';
import { objectAnswer } from '../write-answer.ts';

export async function get(call: Call): Promise<Response> {
  const asked = call.info.query.get('resourceVersion');
  if (asked && asked !== '0') {
    if (!isResourceVersion(asked)) throw invalidVersion(asked);
    await call.core.cache.waitFor(asked);
  }
  return objectAnswer(call, mustGet(call));
}

export const invalidVersion = (text: string) =>
  errors.badRequest(`resourceVersion: Invalid value: ${JSON.stringify(text)}: must be a decimal integer`);
