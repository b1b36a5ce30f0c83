import { isResourceVersion, StatusError } from '#api';
import { type Call, mustGet } from '../core.ts';
import { converted } from '../create-object.ts';
import { versionMistake } from '../list-options.ts';
import { objectAnswer } from '../write-answer.ts';

export async function get(call: Call): Promise<Response> {
  const asked = call.info.query.get('resourceVersion')?.replace(/^0+(?=\d)/, '');
  if (asked && asked !== '0') {
    if (!isResourceVersion(asked)) throw new StatusError(500, '', versionMistake(asked)); // as upstream, not 400
    await call.core.cache.waitFor(asked);
  }
  const object = mustGet(call);
  return objectAnswer(call, object.needsConversion ? await converted(object) : object);
}
