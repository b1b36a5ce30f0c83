import { apiVersionOf, errors, type KubeObject, type ResourceVersion } from '#api';
import type { RestCall } from '#sdk';
import { CachedObject, encodeStored, storeKey } from './cached-object.ts';
import type { AnyObject } from './contract.ts';
import { type Call, resourceText } from './core.ts';

/** The request, as those see it who answer for a kind themselves. */
export function restCallOf({ info, user, dryRun }: Call): RestCall {
  const labelSelector = info.query.get('labelSelector');
  const fieldSelector = info.query.get('fieldSelector');
  return {
    namespace: info.namespace,
    name: info.name,
    user,
    dryRun,
    ...(labelSelector ? { labelSelector } : {}),
    ...(fieldSelector ? { fieldSelector } : {}),
  };
}

/** Versions are the answerer's own: texts that fit into an object without being escaped. */
export const restVersionOf = (given: unknown): ResourceVersion =>
  (typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : '') as ResourceVersion;

/** What was answered, with its type, a name and a place. Throws 500 for what is no object. */
export function restObject({ served, info }: Pick<Call, 'served' | 'info'>, one: KubeObject): CachedObject {
  const { kind } = served;
  if (typeof one !== 'object' || one === null || typeof (one.metadata ?? {}) !== 'object')
    throw errors.internal(`${resourceText(kind)}: the answer is no object`);
  const namespace = kind.namespaced ? String(one.metadata?.namespace ?? info.namespace) : undefined;
  const metadata = {
    ...one.metadata,
    name: String(one.metadata?.name ?? ''),
    ...(namespace === undefined ? {} : { namespace }),
  };
  const whole = { ...one, apiVersion: apiVersionOf(kind), kind: kind.kind, metadata } as AnyObject;
  const key = storeKey(kind, namespace ?? '', metadata.name);
  return new CachedObject(served, key, restVersionOf(metadata.resourceVersion), encodeStored(served, whole));
}
