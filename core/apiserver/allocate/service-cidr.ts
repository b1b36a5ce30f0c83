import { isReason, type ServiceCIDR, serviceCidrKind } from '#api';
import { timeText } from '#base';
import type { AnyKind, AnyObject } from '../contract.ts';
import type { Core } from '../core.ts';
import { ensure } from '../ensure.ts';
import { systemCall } from '../system-call.ts';
import { updateObject } from '../update-object.ts';
import { rangesOf } from './range.ts';

/** The ranges that the server was started with. A second one may join later; whatever else differs is for people. */
export async function ensureServiceCidr(core: Core): Promise<void> {
  const kind = serviceCidrKind as AnyKind;
  const name = 'kubernetes';
  const cidrs = rangesOf(core.options.serviceRange).map(({ text }) => text);
  await ensure(core, kind, { metadata: { name }, spec: { cidrs } });
  const current = core.cache.cacheOf(kind)!.get('', name)?.object as Readonly<ServiceCIDR> | undefined;
  if (!current || current.metadata.deletionTimestamp) return;
  const held = current.spec?.cidrs ?? [];
  if (held.length === 1 && cidrs.length === 2 && held[0] === cidrs[0])
    await ensure(core, kind, { metadata: { name }, spec: { cidrs } }, 'spec');
  else if (held.join() !== cidrs.join())
    return core.log.warn('the ServiceCIDR kubernetes is not what this server was started with', { held, cidrs });
  if (current.status?.conditions?.some(({ type }) => type === 'Ready')) return;
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: '',
    message: 'Kubernetes default Service CIDR is ready',
    lastTransitionTime: timeText(core.clock.now()),
  };
  try {
    await updateObject(systemCall(core, kind, 'update', '', name), {
      verb: 'update',
      subresource: 'status',
      build: (now) => ({ ...now.draft(), status: { conditions: [ready] } }) as AnyObject,
    });
  } catch (error) {
    if (!isReason(error, 'Conflict')) throw error; // another apiserver was faster
  }
}
