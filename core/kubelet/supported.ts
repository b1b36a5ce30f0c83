import type { Container, Pod, Volume } from '#api';
import { containersOf, type Role } from './names.ts';

const volumeKinds = new Set(['name', 'emptyDir', 'hostPath', 'configMap', 'secret', 'downwardAPI', 'projected', 'csi']);
const projections = new Set([
  'configMap',
  'secret',
  'downwardAPI',
  'serviceAccountToken',
  'clusterTrustBundle',
  'podCertificate',
]);
const resourceNames = new Set(['cpu', 'memory']);
/** What somebody else lets this node offer: the scheduler counts it, and to the engine it means nothing, as upstream. */
const isExtended = (name: string): boolean => name.includes('/') && !name.includes('kubernetes.io/');
/** Set, and not to the value that means nothing: absent, false, '', an empty list or map. */
const given = (value: unknown): boolean =>
  value !== undefined &&
  value !== null &&
  value !== false &&
  value !== '' &&
  !(typeof value === 'object' && Object.keys(value).length === 0);

/**
 * Paths of the fields that this node cannot honour. A pod with one is stopped with an event that names it:
 * running it as if the field were not there would be a lie. Empty for a pod that can run.
 */
export function unsupportedFields(
  pod: Readonly<Pod>,
  able: {
    readonly hostPorts: boolean;
    readonly seLinux?: boolean;
    readonly giveAway?: boolean;
    readonly runtimeClasses?: boolean;
  } = { hostPorts: true },
): string[] {
  const spec = pod.spec;
  if (!spec) return ['spec'];
  const found: string[] = [];
  const check = (path: string, value: unknown) => {
    if (given(value)) found.push(path);
  };
  check('spec.hostUsers', spec.hostUsers === false ? 'false' : undefined);
  check('spec.runtimeClassName', able.runtimeClasses ? undefined : spec.runtimeClassName);
  check('spec.overhead', able.runtimeClasses ? undefined : spec.overhead); // its class's: the scheduler counts it
  check('spec.resourceClaims', spec.resourceClaims);
  check('spec.resources', spec.resources);
  check('spec.hostnameOverride', spec.hostnameOverride);
  check('spec.imagePullSecrets', spec.imagePullSecrets);
  check('spec.evictionResponders', spec.evictionResponders);
  check('spec.os.name', spec.os?.name === 'linux' ? undefined : spec.os?.name);
  const security = spec.securityContext;
  // Without SELinux there are no labels to give: the field means nothing then, as for every engine.
  check('spec.securityContext.seLinuxOptions', able.seLinux ? security?.seLinuxOptions : undefined);
  check('spec.securityContext.windowsOptions', security?.windowsOptions);
  check('spec.securityContext.supplementalGroupsPolicy', strictGroups(security?.supplementalGroupsPolicy));
  check('spec.securityContext.appArmorProfile', appArmor(security?.appArmorProfile?.type));
  check('spec.securityContext.seccompProfile', seccomp(security?.seccompProfile?.type));
  if (pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined)
    found.push('metadata.annotations[kubernetes.io/config.mirror]');
  spec.volumes?.forEach((volume, index) => {
    checkVolume(volume, `spec.volumes[${index}]`, check);
    if (able.giveAway === false && namesOwner(volume)) check(`spec.volumes[${index}] (owner of its files)`, true);
  });
  const counts: Record<string, number> = {};
  for (const { role, spec: container } of containersOf(pod)) {
    const list = listOf(role);
    const index = (counts[list] = (counts[list] ?? -1) + 1);
    checkContainer(container, role, `spec.${list}[${index}]`, check, able.seLinux);
    if (!able.hostPorts && !spec.hostNetwork)
      container.ports?.forEach(({ hostPort }, at) => {
        check(`spec.${list}[${index}].ports[${at}].hostPort`, hostPort || undefined);
      });
  }
  return found;
}

type Check = (path: string, value: unknown) => void;
const listOf = (role: Role): string =>
  role === 'container' ? 'containers' : role === 'ephemeral' ? 'ephemeralContainers' : 'initContainers';
const strictGroups = (policy: string | undefined) => (policy === 'Merge' ? undefined : policy);
const appArmor = (type: string | undefined) => (type === 'Localhost' ? type : undefined); // the engine's default profile is in force where the kernel has AppArmor
const seccomp = (type: string | undefined) => (type === 'Localhost' ? type : undefined);

/** Files of another user, which only root can make. */
function namesOwner({ configMap, secret, downwardAPI, projected }: Volume): boolean {
  const parts = [configMap, secret, downwardAPI, projected];
  const sources = (projected?.sources ?? []).flatMap((source) => [
    ...[source.configMap, source.secret, source.downwardAPI].flatMap((one) => one?.items ?? []),
    ...(source.serviceAccountToken ? [source.serviceAccountToken] : []),
    ...[source.clusterTrustBundle, source.podCertificate].filter((one) => one !== undefined),
  ]);
  const items = [configMap, secret, downwardAPI].flatMap((one) => one?.items ?? []);
  return (
    parts.some((part) => part?.defaultUser !== undefined) ||
    [...items, ...sources].some(({ user }) => user !== undefined)
  );
}

function checkVolume(volume: Volume, path: string, check: Check): void {
  for (const [key, value] of Object.entries(volume))
    if (!volumeKinds.has(key) && value !== undefined && value !== null) check(`${path}.${key}`, key);
  const medium = volume.emptyDir?.medium;
  if (medium && medium !== 'Memory') check(`${path}.emptyDir.medium`, medium);
  volume.projected?.sources?.forEach((source, index) => {
    for (const key of Object.keys(source))
      if (!projections.has(key)) check(`${path}.projected.sources[${index}].${key}`, key);
  });
}

function checkContainer(container: Container, role: Role, path: string, check: Check, seLinux = false): void {
  const security = container.securityContext;
  check(`${path}.volumeDevices`, container.volumeDevices);
  check(`${path}.restartPolicyRules`, container.restartPolicyRules);
  check(
    `${path}.restartPolicy`,
    container.restartPolicy !== undefined && !(role === 'sidecar') ? container.restartPolicy : undefined,
  );
  check(`${path}.resources.claims`, container.resources?.claims);
  for (const list of ['limits', 'requests'] as const)
    for (const name of Object.keys(container.resources?.[list] ?? {}))
      if (!resourceNames.has(name) && !isExtended(name)) check(`${path}.resources.${list}.${name}`, name);
  check(`${path}.securityContext.seLinuxOptions`, seLinux ? security?.seLinuxOptions : undefined);
  check(`${path}.securityContext.windowsOptions`, security?.windowsOptions);
  check(`${path}.securityContext.appArmorProfile`, appArmor(security?.appArmorProfile?.type));
  check(`${path}.securityContext.seccompProfile`, seccomp(security?.seccompProfile?.type));
  check(`${path}.securityContext.procMount`, security?.procMount === 'Default' ? undefined : security?.procMount);
  check(`${path}.targetContainerName`, (container as { targetContainerName?: string }).targetContainerName);
  container.volumeMounts?.forEach((mount, index) => {
    check(`${path}.volumeMounts[${index}].bindMountOptions`, mount.bindMountOptions);
    check(`${path}.volumeMounts[${index}].recursiveReadOnly`, mount.recursiveReadOnly === 'Enabled' ? 'Enabled' : '');
  });
  container.env?.forEach((variable, index) => {
    check(`${path}.env[${index}].valueFrom.fileKeyRef`, variable.valueFrom?.fileKeyRef);
  });
}
