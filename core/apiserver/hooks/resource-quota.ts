import {
  type Amounts,
  addQuantities,
  compareQuantities,
  errors,
  type KubeObject,
  type Pod,
  quotaCovers,
  quotaUsage,
  type ResourceQuota,
  resourceQuotaKind,
  subtractQuantities,
} from '#api';
import type { AdmissionHook, AdmissionRequest, AnyKind, AnyObject } from '../contract.ts';
import { type Core, resourceText } from '../core.ts';
import { systemCall } from '../system-call.ts';
import { updateObject } from '../update-object.ts';

type Quota = Readonly<ResourceQuota & KubeObject>;
const computeNames = ['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'];

/**
 * Charges the namespace's quotas before an object is stored, by an update of their status with the version that was read:
 * of two writers that would exceed it together, one is refused, on however many apiservers. What was charged for nothing
 * comes back when the controller counts again.
 */
export const resourceQuota = (core: () => Core): AdmissionHook => {
  /** One charge at a time in a namespace: writers of this server would only fail each other. */
  const lanes = new Map<string, Promise<unknown>>();
  return {
    name: 'ResourceQuota',
    validate(request) {
      const { kind, operation, subresource, object, current, namespace, nowMs } = request;
      if (!object || !kind.namespaced || operation === 'DELETE') return;
      const isPod = kind.plural === 'pods' && !kind.group;
      if (subresource && !(isPod && subresource === 'resize')) return;
      const quotas = core().reader.list(resourceQuotaKind, namespace) as Quota[];
      if (quotas.length === 0) return;
      const used = quotaUsage(kind, object, nowMs);
      const delta = current ? difference(used, quotaUsage(kind, current, nowMs)) : used;
      const turn = (lanes.get(namespace) ?? Promise.resolve()).then(async () => {
        for (const quota of quotas) await charge(core(), request, quota, used, delta);
      });
      const settled: Promise<void> = turn.then(forget, forget);
      function forget(): void {
        if (lanes.get(namespace) === settled) lanes.delete(namespace);
      }
      lanes.set(namespace, settled);
      return turn;
    },
  };
};

function difference(next: Amounts, before: Amounts): Amounts {
  const delta: Amounts = {};
  for (const [name, value] of Object.entries(next)) {
    const more = subtractQuantities(value, before[name] ?? '0');
    if (compareQuantities(more, '0') > 0) delta[name] = more;
  }
  return delta;
}

async function charge(
  core: Core,
  request: AdmissionRequest,
  quota: Quota,
  used: Amounts,
  delta: Amounts,
): Promise<void> {
  const { kind, object, name, dryRun, namespace } = request;
  if (!quotaCovers(quota, kind, object!)) return;
  const refuse = (why: string) => errors.forbidden(resourceText(kind), name, why);
  const hard = Object.keys(quota.spec?.hard ?? {});
  const called = quota.metadata.name!;
  if (kind.plural === 'pods' && !kind.group && !request.current) {
    const missing = unspecified(object as unknown as Pod, hard);
    if (missing) throw refuse(`failed quota: ${called}: must specify ${missing}`);
  }
  const named = hard.filter((resource) => used[resource] !== undefined);
  const unknown = named.filter(
    (resource) => quota.status?.hard?.[resource] === undefined || quota.status.used?.[resource] === undefined,
  );
  if (unknown.length > 0) throw refuse(`status unknown for quota: ${called}, resources: ${named.sort().join(',')}`);
  const wanted = Object.entries(delta).filter(
    ([resource, value]) => hard.includes(resource) && compareQuantities(value, '0') > 0,
  );
  if (wanted.length === 0) return;
  const addUp = (now: Quota): Amounts => {
    const next: Amounts = { ...now.status?.used };
    const over: string[] = [];
    for (const [resource, value] of wanted) {
      next[resource] = addQuantities(next[resource] ?? '0', value);
      if (compareQuantities(next[resource], now.status?.hard?.[resource] ?? '0') > 0) over.push(resource);
    }
    const shown = (list: Readonly<Record<string, string>> | undefined) =>
      over
        .sort()
        .map((resource) => `${resource}=${list?.[resource] ?? '0'}`)
        .join(',');
    if (over.length > 0)
      throw refuse(
        `exceeded quota: ${called}, requested: ${shown(delta)}, used: ${shown(now.status?.used)}, limited: ${shown(now.status?.hard)}`,
      );
    return next;
  };
  if (dryRun) {
    addUp(quota);
    return;
  }
  await updateObject(systemCall(core, resourceQuotaKind as AnyKind, 'update', namespace, called), {
    verb: 'update',
    subresource: 'status',
    build: (now) => {
      const next = now.draft() as AnyObject & ResourceQuota;
      delete next.metadata.resourceVersion; // a lost race is tried again, not refused
      next.status = { ...next.status, used: addUp(next) };
      return next;
    },
  });
}

/** Where cpu or memory has a quota, every container must say what it needs. */
function unspecified(pod: Readonly<Pod>, hard: readonly string[]): string {
  if (pod.spec?.resources) return '';
  const needed = computeNames.filter((name) => hard.includes(name));
  const missing = new Map<string, string[]>();
  for (const { name, resources } of [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])])
    for (const need of needed) {
      const [list, resource] = need.includes('.') ? need.split('.') : ['requests', need];
      const has = (list === 'limits' ? resources?.limits : resources?.requests)?.[resource!];
      if (has === undefined) missing.set(need, [...(missing.get(need) ?? []), name]);
    }
  return [...missing]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([need, names]) => `${need} for: ${names.sort().join(',')}`)
    .join('; ');
}
