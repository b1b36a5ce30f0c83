import { compareVersions, type IPAddress, ipAddressKind, isReason, type ResourceVersion } from '#api';
import { messageOf } from '#base';
import type { CachedObject } from '../cached-object.ts';
import type { AnyKind, AnyObject } from '../contract.ts';
import type { Core } from '../core.ts';
import { deleteObject } from '../delete-object.ts';
import { systemCall, systemCreate } from '../system-call.ts';
import { familyOf } from './range.ts';

export const managedByLabel = 'ipaddress.kubernetes.io/managed-by';
export const managedBy = 'ipallocator.k8s.io';
const familyLabel = 'ipaddress.kubernetes.io/ip-family';
const kind = ipAddressKind as AnyKind;

export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}
export const isOf = (address: Readonly<IPAddress>, { namespace, name }: ServiceName): boolean => {
  const { group = '', resource, namespace: itsNamespace, name: itsName } = address.spec?.parentRef ?? {};
  return group === '' && resource === 'services' && itsNamespace === namespace && itsName === name;
};

/** Says to whom an address belongs. False: another service has it, perhaps through another API server; the store is the judge. */
export async function createIpAddress(core: Core, ip: string, { namespace, name }: ServiceName): Promise<boolean> {
  const object = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IPAddress',
    metadata: { name: ip, labels: { [familyLabel]: familyOf(ip), [managedByLabel]: managedBy } },
    spec: { parentRef: { resource: 'services', namespace, name } },
  };
  try {
    await systemCreate(core, kind, object as unknown as AnyObject);
    return true;
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) throw error;
    await core.cache.fresh(); // another server may have made it
    const found = core.cache.cacheOf(kind)?.get('', ip)?.object as Readonly<IPAddress> | undefined;
    return found !== undefined && isOf(found, { namespace, name });
  }
}

/** Of this very service, as it was before `version`: one that has the address and the name by now keeps it. Never throws. */
export async function removeIpAddress(
  core: Core,
  ip: string,
  service: ServiceName,
  version?: ResourceVersion,
): Promise<void> {
  const found = core.cache.cacheOf(kind)?.get('', ip);
  if (!found || !isOf(found.object as unknown as IPAddress, service)) return;
  if (version && compareVersions(found.version, version) > 0) return;
  await removeFound(core, found);
}

export async function removeFound(core: Core, found: CachedObject): Promise<void> {
  const { uid, resourceVersion } = { uid: found.object.metadata.uid, resourceVersion: found.version };
  try {
    const call = systemCall(core, kind, 'delete', '', found.name);
    await deleteObject(call, '', found.name, { preconditions: { uid, resourceVersion } });
  } catch (error) {
    // What stays behind is found by the repair.
    if (!isReason(error, 'NotFound', 'Conflict') && !core.signal.aborted)
      core.log.warn('an address was not given back yet', { ip: found.name, error: messageOf(error) });
  }
}
