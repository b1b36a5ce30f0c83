import { endpointSliceKind, endpointsKind, isReason, namespaceKind, serviceKind } from '#api';
import { firstAddress } from './allocate/range.ts';
import type { AnyKind, AnyObject } from './contract.ts';
import type { Core } from './core.ts';
import { systemCall, systemCreate } from './system-call.ts';
import { updateObject } from './update-object.ts';

const namespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
const httpsPort = 443;

/** What every cluster has from its first second: the four namespaces and the `kubernetes` service. Safe to run at every start. */
export async function bootstrap(core: Core): Promise<void> {
  for (const name of namespaces) await ensure(core, namespaceKind, { metadata: { name } });
  const { advertise, serviceRange } = core.options;
  const target = advertise?.port ?? httpsPort;
  await ensure(core, serviceKind, {
    metadata: { name: 'kubernetes', namespace: 'default', labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      type: 'ClusterIP',
      clusterIP: firstAddress(serviceRange),
      ports: [{ name: 'https', protocol: 'TCP', port: advertise?.servicePort ?? httpsPort, targetPort: target }],
      sessionAffinity: 'None',
    },
  });
  if (!advertise) return;
  const port = { name: 'https', port: advertise.port, protocol: 'TCP' };
  await ensure(
    core,
    endpointsKind,
    {
      metadata: {
        name: 'kubernetes',
        namespace: 'default',
        labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
      },
      subsets: [{ addresses: [{ ip: advertise.ip }], ports: [port] }],
    },
    'subsets',
  );
  await ensure(
    core,
    endpointSliceKind,
    {
      metadata: { name: 'kubernetes', namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [advertise.ip], conditions: { ready: true } }],
      ports: [port],
    },
    'endpoints',
    'ports',
  );
}

/** Creates it, or brings the named fields of what is there to the wanted value. */
async function ensure(core: Core, kind: { readonly plural: string }, body: object, ...fields: string[]): Promise<void> {
  const object = body as AnyObject;
  const { name = '', namespace = '' } = object.metadata;
  const current = core.cache.cacheOf(kind as AnyKind)?.get(namespace, name);
  try {
    if (!current) await systemCreate(core, kind as AnyKind, object);
    else if (fields.some((field) => JSON.stringify(current.object[field]) !== JSON.stringify(object[field]))) {
      await updateObject(systemCall(core, kind as AnyKind, 'update', namespace, name), {
        verb: 'update',
        build: (now) =>
          ({ ...now.draft(), ...Object.fromEntries(fields.map((field) => [field, object[field]])) }) as AnyObject,
      });
    }
  } catch (error) {
    if (!isReason(error, 'AlreadyExists', 'Conflict')) throw error; // another apiserver was faster
  }
}
