import { eventKind, type IPAddress, ipAddressKind, type KubeObject, type Service, serviceKind } from '#api';
import { messageOf, randomSuffix, timeText } from '#base';
import type { AnyKind, AnyObject } from '../contract.ts';
import type { Core } from '../core.ts';
import { systemCreate } from '../system-call.ts';
import type { ServiceAddresses } from './addresses.ts';
import { createIpAddress, removeFound } from './ip-address.ts';
import { type Finding, planRepair } from './plan-repair.ts';

const passMs = 3 * 60_000;
/** So many at once: a home of a former version has no IPAddress for any of its services. */
const createdAtOnceMax = 64;

/** One pass: makes what is missing, removes what is nobody's. Answers what it found. `told`: what was said before is not said again; absent: nobody is told. */
export async function repairAddresses(core: Core, addresses: ServiceAddresses, told?: Set<string>): Promise<Finding[]> {
  const services = core.reader.list(serviceKind) as readonly Readonly<Service & KubeObject>[];
  const existing = core.reader.list(ipAddressKind) as readonly Readonly<IPAddress & KubeObject>[];
  const findings = planRepair(services, existing, (ip) => addresses.isInRange(ip), core.clock.now());
  const left = findings.slice();
  while (left.length > 0 && !core.signal.aborted)
    await Promise.all(left.splice(0, createdAtOnceMax).map((finding) => mend(core, finding)));
  for (const finding of findings) {
    if (!told || told.has(finding.message)) continue;
    told.add(finding.message);
    await tell(core, finding);
  }
  return findings;
}

/** Until the server stops: every three minutes, and at once when somebody removed the IPAddress of a service. */
export async function keepRepaired(core: Core, addresses: ServiceAddresses): Promise<void> {
  let wake = new AbortController();
  core.cache.cacheOf(ipAddressKind as AnyKind)?.sinks.add({
    onEvent: ({ type, object }) => {
      if (type === 'DELETED' && addresses.isHeld(object.name)) wake.abort();
    },
    onBookmark() {},
    onLost() {},
  });
  const told = new Set<string>();
  while (!core.signal.aborted) {
    await core.clock.sleep(passMs, AbortSignal.any([wake.signal, core.signal]));
    if (core.signal.aborted) return;
    if (!wake.signal.aborted && addresses.isTidy) continue;
    wake = new AbortController();
    try {
      await repairAddresses(core, addresses, told);
    } catch (error) {
      core.log.warn('addresses of services were not looked through', { error: messageOf(error) });
    }
  }
}

async function mend(core: Core, { type, ip, service, address }: Finding): Promise<void> {
  const found = address && core.cache.cacheOf(ipAddressKind as AnyKind)?.get('', ip);
  if (found && (type === 'replace' || type === 'remove')) await removeFound(core, found);
  if (service && (type === 'replace' || type === 'create')) {
    const { namespace = '', name = '' } = service.metadata;
    await createIpAddress(core, ip, { namespace, name });
  }
}

async function tell(core: Core, { ip, service, address, reason, message }: Finding): Promise<void> {
  core.log.warn('an address of a service was not as it should be', { ip, message });
  const about = service ?? address!;
  const { name = '', namespace = 'default', uid, resourceVersion } = about.metadata;
  const now = timeText(core.clock.now());
  const source = 'ipallocator-repair-controller';
  const event = {
    metadata: { name: `${name}.${randomSuffix(core.random)}${randomSuffix(core.random)}`, namespace },
    involvedObject: {
      apiVersion: service ? 'v1' : 'networking.k8s.io/v1',
      kind: service ? 'Service' : 'IPAddress',
      ...(service && { namespace }),
      name,
      uid,
      resourceVersion,
    },
    reason,
    message,
    type: 'Warning',
    count: 1,
    firstTimestamp: now,
    lastTimestamp: now,
    reportingComponent: source,
    source: { component: source },
  };
  try {
    await systemCreate(core, eventKind as AnyKind, event as unknown as AnyObject);
  } catch (error) {
    core.log.debug('an event was not written', { reason, error: messageOf(error) });
  }
}
