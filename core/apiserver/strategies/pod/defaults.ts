import {
  type Container,
  type ContainerPort,
  canonicalQuantity,
  type EnvVar,
  type LifecycleHandler,
  type Pod,
  type PodSpec,
  type Probe,
  parseNano,
  type Quantity,
  type Volume,
  type VolumeProjection,
} from '#api';

/** Resource amounts are kept to a thousandth; finer ones round up. */
export function roundResources(list: Record<string, Quantity> | undefined): void {
  for (const name in list) {
    const text = list[name]!;
    if (!/[nu.eE]/.test(text)) continue;
    const nano = parseNano(text);
    if (nano === undefined || nano % 1_000_000n === 0n) continue;
    const milli = nano > 0n ? (nano + 999_999n) / 1_000_000n : nano / 1_000_000n;
    list[name] = canonicalQuantity(`${milli}m`);
  }
}

/** Always for `latest` or no tag; a digest counts as a tag. */
export function pullPolicyOf(image: string | undefined): string {
  if (!image || image.includes('@')) return 'IfNotPresent';
  const tag = /:([^:/]+)$/.exec(image)?.[1];
  return tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent';
}

/** What a pod template gets too; a pod itself gets more (defaultPod). */
export function defaultPodSpec(spec: PodSpec): void {
  const account = spec.serviceAccountName || spec.serviceAccount;
  if (account) {
    spec.serviceAccountName = account;
    spec.serviceAccount = account;
  }
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.restartPolicy ??= 'Always';
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= 30;
  spec.schedulerName ??= 'default-scheduler';
  for (const container of allContainers(spec)) defaultContainer(container);
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  roundResources(spec.overhead);
  if (spec.hostNetwork)
    for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) hostPorts(container.ports);
}
/** Containers, init containers and ephemeral ones. */
export const allContainers = (spec: Readonly<PodSpec>): Container[] => [
  ...(spec.initContainers ?? []),
  ...(spec.containers ?? []),
  ...(spec.ephemeralContainers ?? []),
];

function hostPorts(ports: ContainerPort[] | undefined): void {
  for (const port of ports ?? []) port.hostPort ??= port.containerPort;
}

function defaultContainer(container: Container): void {
  container.imagePullPolicy ??= pullPolicyOf(container.image);
  container.terminationMessagePath ??= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  for (const port of container.ports ?? []) port.protocol ??= 'TCP';
  for (const variable of container.env ?? []) defaultVariable(variable);
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe])
    if (probe) defaultProbe(probe);
  for (const handler of [container.lifecycle?.postStart, container.lifecycle?.preStop])
    if (handler) defaultHttp(handler);
  roundResources(container.resources?.limits);
  roundResources(container.resources?.requests);
}
function defaultVariable(variable: EnvVar): void {
  if (variable.valueFrom?.fieldRef) variable.valueFrom.fieldRef.apiVersion ??= 'v1';
}
function defaultProbe(probe: Probe): void {
  defaultHttp(probe);
  if (probe.grpc) probe.grpc.service ??= '';
  probe.timeoutSeconds ??= 1;
  probe.periodSeconds ??= 10;
  probe.successThreshold ??= 1;
  probe.failureThreshold ??= 3;
}
function defaultHttp(handler: LifecycleHandler): void {
  if (!handler.httpGet) return;
  handler.httpGet.path ??= '/';
  handler.httpGet.scheme ??= 'HTTP';
}

const fileMode = 0o644;
function defaultVolume(volume: Volume): void {
  if (Object.keys(volume).every((key) => key === 'name')) volume.emptyDir = {};
  if (volume.secret) volume.secret.defaultMode ??= fileMode;
  if (volume.configMap) volume.configMap.defaultMode ??= fileMode;
  if (volume.downwardAPI) {
    volume.downwardAPI.defaultMode ??= fileMode;
    for (const item of volume.downwardAPI.items ?? []) if (item.fieldRef) item.fieldRef.apiVersion ??= 'v1';
  }
  if (volume.projected) {
    volume.projected.defaultMode ??= fileMode;
    for (const source of volume.projected.sources ?? []) defaultProjection(source);
  }
  if (volume.hostPath) volume.hostPath.type ??= '';
  if (volume.image) volume.image.pullPolicy ??= pullPolicyOf(volume.image.reference);
  if (volume.ephemeral?.volumeClaimTemplate?.spec)
    volume.ephemeral.volumeClaimTemplate.spec.volumeMode ??= 'Filesystem';
}
function defaultProjection(source: VolumeProjection): void {
  if (source.serviceAccountToken) source.serviceAccountToken.expirationSeconds ??= 3600;
  for (const item of source.downwardAPI?.items ?? []) if (item.fieldRef) item.fieldRef.apiVersion ??= 'v1';
}

/** What only a pod gets, not a template. */
export function defaultPod(pod: Pod): void {
  const spec = (pod.spec ??= { containers: [] });
  defaultPodSpec(spec);
  if (spec.terminationGracePeriodSeconds! < 0) spec.terminationGracePeriodSeconds = 1;
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    const limits = container.resources?.limits;
    if (!limits) continue;
    const requests = (container.resources!.requests ??= {});
    for (const [name, amount] of Object.entries(limits)) requests[name] ??= amount;
  }
  spec.enableServiceLinks ??= true;
  const status = pod.status;
  if (!status) return;
  if (status.podIP && status.podIPs?.[0]?.ip !== status.podIP) status.podIPs = [{ ip: status.podIP }];
  else if (!status.podIP && status.podIPs?.length) status.podIP = status.podIPs[0]!.ip;
}
