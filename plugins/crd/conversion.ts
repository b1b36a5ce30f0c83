import {
  type AnyObject,
  apiVersionOf,
  type CallWebhook,
  errors,
  isReason,
  type KindConversion,
  type KubeObject,
} from '#sdk';
import type { Definition } from './kind.ts';

type Json = Record<string, unknown>;
const timeoutMs = 30_000;

/** Undefined: the versions differ by name only. `nextUid` names each question. */
export function conversionOf(
  definition: Readonly<Definition>,
  call: CallWebhook | undefined,
  nextUid: () => string,
): KindConversion | undefined {
  const { group, names, conversion } = definition.spec;
  const spec = { group, names, conversion }; // the schemas beside them are not to be held
  if (spec.conversion?.strategy !== 'Webhook') return undefined;
  const target = spec.conversion.webhook?.clientConfig;
  const reviewVersion = spec.conversion.webhook?.conversionReviewVersions.find(
    (one) => one === 'v1' || one === 'v1beta1',
  );
  return {
    async convert(objects, apiVersion) {
      const waiting = objects.filter((object) => object.apiVersion !== apiVersion);
      if (waiting.length === 0) return [...objects];
      const from = `${apiVersionOf({ group: spec.group, version: String(waiting[0]!.apiVersion).split('/').at(-1)! })}, Kind=${spec.names.kind}`;
      const fail = (why: string) => errors.internal(`conversion webhook for ${from} ${why}`);
      if (!call || !target || !reviewVersion) throw fail('failed: no supported conversion review versions');
      const uid = nextUid();
      const request = { uid, desiredAPIVersion: apiVersion, objects: waiting };
      const review = { kind: 'ConversionReview', apiVersion: `apiextensions.k8s.io/${reviewVersion}`, request };
      let answer: unknown;
      try {
        answer = await call(target, review, { timeoutMs });
      } catch (error) {
        if (isReason(error, 'ServiceUnavailable')) throw error; // a plugin that converts its own kind does not run
        throw fail(`failed: ${(error as Error).message.replace(/^Internal error occurred: /, '')}`);
      }
      const converted = convertedOf(answer, uid, waiting, apiVersion, fail);
      let next = 0;
      return objects.map((object) => (object.apiVersion === apiVersion ? object : converted[next++]!));
    },
  };
}

function convertedOf(
  answer: unknown,
  uid: string,
  asked: readonly AnyObject[],
  apiVersion: string,
  fail: (why: string) => Error,
): AnyObject[] {
  const response = (answer as { response?: { uid?: string; convertedObjects?: unknown[]; result?: Json } } | undefined)
    ?.response;
  if (!response) throw fail('failed: no response provided');
  if (response.uid !== uid)
    throw fail(`failed: expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response.uid ?? '')}`);
  const { status = '', message } = (response.result ?? {}) as { status?: string; message?: string };
  if (status !== 'Success') throw fail(`failed: ${message || `response.result.status was '${status}', not 'Success'`}`);
  const objects = response.convertedObjects ?? [];
  if (objects.length !== asked.length) throw fail(`returned ${objects.length} objects, expected ${asked.length}`);
  return objects.map((object, index) =>
    checked(object as AnyObject, asked[index]!, apiVersion, (why) =>
      fail(`returned invalid converted object at index ${index}: ${why}`),
    ),
  );
}

/** Only labels and annotations of the metadata are a webhook's to change. */
function checked(object: AnyObject, asked: AnyObject, apiVersion: string, fail: (why: string) => Error): AnyObject {
  if (object?.apiVersion !== apiVersion)
    throw fail(`invalid groupVersion (expected ${apiVersion}, received ${object?.apiVersion ?? ''})`);
  if (object.kind !== asked.kind) throw fail(`invalid kind (expected ${asked.kind}, received ${object.kind ?? ''})`);
  const { metadata } = object;
  if (typeof metadata !== 'object' || metadata === null) throw fail('missing metadata in converted object');
  for (const name of ['name', 'namespace', 'uid'] as const)
    if ((metadata[name] ?? '') !== (asked.metadata[name] ?? ''))
      throw fail(
        `must have the same ${name === 'uid' ? 'UID' : name}: ${metadata[name] ?? ''} != ${asked.metadata[name] ?? ''}`,
      );
  const kept: KubeObject['metadata'] = { ...asked.metadata };
  for (const name of ['labels', 'annotations'] as const) {
    if (metadata[name] === undefined) delete kept[name];
    else kept[name] = metadata[name];
  }
  return { ...object, metadata: kept };
}
