import type { AnyKind, AnyObject } from './contract.ts';
import type { Call, Core } from './core.ts';
import { createObject } from './create-object.ts';

/** A request of the server to itself: admitted and validated like any other, but not authorised. */
export function systemCall(core: Core, kind: AnyKind, verb: string, namespace: string, name: string): Call {
  const served = core.kinds.find(kind.group, kind.version, kind.plural)!;
  return {
    core,
    request: new Request('http://localhost/', { headers: { 'user-agent': 'pintle-apiserver' } }),
    info: {
      verb,
      isResource: true,
      path: '/',
      group: kind.group,
      version: kind.version,
      resource: kind.plural,
      subresource: '',
      namespace,
      name,
      rest: '',
      query: new URLSearchParams(),
    },
    user: { name: 'system:apiserver', groups: ['system:masters'] },
    served,
    resources: core.cache.cacheOf(kind)!,
    wanted: { format: 'json', as: 'object', version: 'v1', pretty: false },
    nowMs: core.clock.now(),
    dryRun: false,
    warnings: new Set(),
  };
}

export const systemCreate = (core: Core, kind: AnyKind, object: AnyObject) =>
  createObject(systemCall(core, kind, 'create', object.metadata.namespace ?? '', object.metadata.name ?? ''), object);
