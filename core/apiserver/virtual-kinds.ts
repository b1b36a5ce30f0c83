import {
  apiVersionOf,
  bindingKind,
  componentStatusKind,
  errors,
  type Kind,
  type KubeObject,
  podKind,
  type ResourceVersion,
} from '#api';
import { messageOf } from '#base';
import { readObject } from './body.ts';
import { CachedObject, encodeStored, storeKey } from './cached-object.ts';
import type { AnyKind, AnyObject } from './contract.ts';
import type { Call } from './core.ts';
import { restHandler } from './rest-kinds.ts';
import { bind } from './subresources/binding.ts';
import { viewList, viewObject, viewOf } from './views.ts';
import { valueAnswer } from './write-answer.ts';

type Handler = (call: Call) => Promise<Response | undefined>;
const handlers: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  [bindingKind.plural]: { create: bindNamed },
  [componentStatusKind.plural]: { get: componentStatus, list: componentStatus },
};

/** Of kinds that nobody stores: a binding becomes the pod's node, component statuses are found out when asked. */
export const virtualHandler = ({ served, info }: Call): Handler | undefined =>
  info.subresource
    ? undefined
    : served.rest
      ? restHandler(served, info.verb)
      : handlers[served.kind.plural]?.[info.verb];

/** POST bindings: the older form of POST pods/NAME/binding. */
async function bindNamed(call: Call): Promise<Response> {
  const { core, request, info } = call;
  const { value } = await readObject(request);
  const name = (value['metadata'] as { name?: string } | undefined)?.name ?? '';
  const kind = podKind as Kind<KubeObject> as AnyKind;
  const again = new Request(request.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': request.headers.get('user-agent') ?? '' },
    body: JSON.stringify(value),
  });
  return bind({
    ...call,
    request: again,
    info: { ...info, resource: kind.plural, subresource: 'binding', name },
    served: core.kinds.find('', 'v1', kind.plural)!,
    resources: core.cache.cacheOf(kind)!,
  });
}

/** The one part that this server can speak for is its store; others are seen by their leases and nodes. */
async function componentStatus(call: Call): Promise<Response> {
  const { core, info, served } = call;
  const { kind } = served;
  const health = await core.store.version().then(
    () => ({ status: 'True', message: 'ok' }),
    (error: unknown) => ({ status: 'False', message: messageOf(error) }),
  );
  const body = { metadata: { name: 'store' }, conditions: [{ type: 'Healthy', ...health }] };
  const object = { apiVersion: apiVersionOf(kind), kind: kind.kind, ...body } as unknown as AnyObject;
  const stored = encodeStored(served, object);
  const one = new CachedObject(served, storeKey(kind, '', 'store'), '' as ResourceVersion, stored);
  if (info.verb === 'list') return valueAnswer(call, viewList(viewOf(call), served, [one], {}));
  if (info.name !== one.name) throw errors.notFound(kind.singular, info.name);
  return valueAnswer(call, viewObject(viewOf(call), one));
}
