import { apiServiceKind, configMapKind, isReason, namespaceKind, priorityClassKind, serviceKind } from '#api';
import { firstAddress } from './allocate/range.ts';
import { ensureServiceCidr } from './allocate/service-cidr.ts';
import { bootstrapRbac } from './auth/bootstrap-rbac.ts';
import type { Core } from './core.ts';
import { ensure } from './ensure.ts';
import { bootstrapFlowControl } from './flow-control/flow-control.ts';
import { tellAddresses } from './peers.ts';
import { systemPriorityClasses } from './strategies/classes.ts';

const namespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
const httpsPort = 443;

const patienceMsMax = 30_000;
const pauseMs = 250;

/**
 * What every cluster has from its first second: namespaces, roles, classes and the `kubernetes` service. Safe to run at every
 * start. A store that does not answer, or not in time, is asked again for half a minute: an etcd without its leader for a
 * moment must not end a server, and what had been written after all is found there.
 */
export async function bootstrap(core: Core): Promise<void> {
  const endMs = core.clock.monotonicMs() + patienceMsMax;
  for (let unsure = false; ; ) {
    try {
      return await makeAll(core);
    } catch (error) {
      unsure ||= isReason(error, 'ServiceUnavailable');
      if (!unsure || core.signal.aborted || core.clock.monotonicMs() > endMs) throw error;
      core.log.warn('the store did not take what every cluster has; it is asked again', { error });
    }
    await core.clock.sleep(pauseMs, core.signal);
  }
}

async function makeAll(core: Core): Promise<void> {
  for (const name of namespaces) await ensure(core, namespaceKind, { metadata: { name } });
  await Promise.all([
    bootstrapRbac(core),
    bootstrapFlowControl(core),
    ensureServiceCidr(core),
    ...clusterObjects(core).map(([kind, body]) => ensure(core, kind, body)),
  ]);
  const { advertise, serviceRange, frontProxy } = core.options;
  if (frontProxy)
    await ensure(
      core,
      configMapKind,
      {
        metadata: { name: 'extension-apiserver-authentication', namespace: 'kube-system' },
        data: trustData(frontProxy),
      },
      'data',
    );
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
  await tellAddresses(core);
}

/** What aggregated servers read to know whom this server may name. */
const trustData = ({ ca, clientCa }: NonNullable<Core['options']['frontProxy']>): Record<string, string> => ({
  ...(clientCa && { 'client-ca-file': clientCa }),
  'requestheader-allowed-names': '["front-proxy-client"]',
  'requestheader-client-ca-file': ca,
  'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
  'requestheader-group-headers': '["X-Remote-Group"]',
  'requestheader-uid-headers': '["X-Remote-Uid"]',
  'requestheader-username-headers': '["X-Remote-User"]',
});

/** Priorities of API groups, as upstream orders them; others go last. */
const groupPriorities: Readonly<Record<string, readonly [group: number, version: number]>> = {
  '': [18_000, 1],
  'events.k8s.io': [17_750, 15],
  'authentication.k8s.io': [17_700, 15],
  'authorization.k8s.io': [17_600, 15],
  'certificates.k8s.io': [17_300, 15],
  'networking.k8s.io': [17_200, 15],
  policy: [17_100, 15],
  'rbac.authorization.k8s.io': [17_000, 15],
  'storage.k8s.io': [16_800, 15],
  'admissionregistration.k8s.io': [16_700, 15],
  'scheduling.k8s.io': [16_600, 15],
  'coordination.k8s.io': [16_500, 15],
  'node.k8s.io': [16_300, 15],
  'discovery.k8s.io': [16_200, 15],
  'resource.k8s.io': [16_200, 21],
  'flowcontrol.apiserver.k8s.io': [16_100, 21],
  'storagemigration.k8s.io': [15_800, 15],
};

/** Objects without a namespace that every cluster has. */
function clusterObjects(core: Core): [kind: { readonly plural: string }, body: object][] {
  const served = new Set(core.kinds.all().map(({ kind }) => `${kind.version}.${kind.group}`));
  const services = [...served].map((name): [typeof apiServiceKind, object] => {
    const dot = name.indexOf('.');
    const [version, group] = [name.slice(0, dot), name.slice(dot + 1)];
    const [groupPriorityMinimum, versionPriority] = groupPriorities[group] ?? [1000, 100];
    return [
      apiServiceKind,
      {
        metadata: { name, labels: { 'kube-aggregator.kubernetes.io/automanaged': 'onstart' } },
        spec: { ...(group && { group }), version, groupPriorityMinimum, versionPriority },
      },
    ];
  });
  const classes = systemPriorityClasses.map(({ name, value, description }): [typeof priorityClassKind, object] => [
    priorityClassKind,
    { metadata: { name }, value, description },
  ]);
  return [...services, ...classes];
}
