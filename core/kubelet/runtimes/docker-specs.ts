import type { ContainerSpec, SandboxSpec } from '#sdk';

/** What Docker's API wants and gives: only the fields used here. Pure translations, tested by tables. */
export const labels = {
  cluster: 'pintle.cluster',
  type: 'pintle.type',
  podUid: 'pintle.pod.uid',
  podName: 'pintle.pod.name',
  podNamespace: 'pintle.pod.namespace',
  container: 'pintle.container',
  attempt: 'pintle.attempt',
  specHash: 'pintle.spec-hash',
  image: 'pintle.image',
  annotations: 'pintle.annotations',
  /** Of a sandbox: what its containers must join. */
  network: 'pintle.network',
  pid: 'pintle.pid',
  ipc: 'pintle.ipc',
} as const;
export type Labels = Readonly<Record<string, string>>;
/** How the containers of a pod join its sandbox. */
export interface SandboxJoin {
  readonly id: string;
  readonly network: 'pod' | 'host';
  readonly pid: 'container' | 'pod' | 'host';
  readonly ipc: 'pod' | 'host';
}
const cpuPeriodUs = 100_000;

export const sandboxName = (clusterId: string, spec: SandboxSpec) =>
  `pintle-${clusterId}-${spec.podUid}-sandbox-${spec.attempt}`;
export const containerName = (clusterId: string, spec: ContainerSpec) =>
  `pintle-${clusterId}-${spec.podUid}-c-${spec.name}-${spec.attempt}`;

export function joinOf(id: string, of: Labels): SandboxJoin {
  return {
    id,
    network: of[labels.network] === 'host' ? 'host' : 'pod',
    pid: of[labels.pid] === 'host' ? 'host' : of[labels.pid] === 'pod' ? 'pod' : 'container',
    ipc: of[labels.ipc] === 'host' ? 'host' : 'pod',
  };
}

/** `oomScoreFloor`: the lowest oom_score_adj that this machine lets a process be given. */
export function sandboxBody(clusterId: string, spec: SandboxSpec, image: string, oomScoreFloor: number) {
  return {
    Image: image,
    Hostname: spec.network === 'host' ? '' : spec.hostname,
    Labels: {
      [labels.cluster]: clusterId,
      [labels.type]: 'sandbox',
      [labels.podUid]: spec.podUid,
      [labels.podName]: spec.podName,
      [labels.podNamespace]: spec.podNamespace,
      [labels.attempt]: String(spec.attempt),
      [labels.network]: spec.network,
      [labels.pid]: spec.hostPid ? 'host' : spec.sharePid ? 'pod' : 'container',
      [labels.ipc]: spec.hostIpc ? 'host' : 'pod',
    },
    HostConfig: {
      NetworkMode: spec.network === 'host' ? 'host' : 'none',
      IpcMode: spec.hostIpc ? 'host' : 'shareable',
      PidMode: spec.hostPid ? 'host' : '',
      Sysctls: { ...spec.sysctls },
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      OomScoreAdj: Math.max(-998, oomScoreFloor),
      LogConfig: { Type: 'none', Config: {} },
      RestartPolicy: { Name: 'no' },
    },
  };
}

export function containerBody(
  clusterId: string,
  spec: ContainerSpec,
  sandbox: SandboxJoin,
  oomScoreFloor: number,
  imageUser = '',
) {
  const { security, resources } = spec;
  return {
    Image: spec.imageId,
    ...(spec.command?.length ? { Entrypoint: [...spec.command] } : {}),
    ...(spec.args?.length ? { Cmd: [...spec.args] } : {}),
    Env: spec.env.map(([name, value]) => `${name}=${value}`),
    ...(spec.workingDir ? { WorkingDir: spec.workingDir } : {}),
    ...userOf(spec, imageUser),
    Tty: spec.tty,
    OpenStdin: spec.stdin,
    StdinOnce: spec.stdin && spec.stdinOnce,
    ...(spec.stopSignal ? { StopSignal: spec.stopSignal } : {}),
    Healthcheck: { Test: ['NONE'] }, // an image's own check is not Kubernetes' business
    Labels: {
      [labels.cluster]: clusterId,
      [labels.type]: 'container',
      [labels.podUid]: spec.podUid,
      [labels.podName]: spec.podName,
      [labels.podNamespace]: spec.podNamespace,
      [labels.container]: spec.name,
      [labels.attempt]: String(spec.attempt),
      [labels.specHash]: spec.specHash,
      [labels.image]: spec.image,
      [labels.annotations]: JSON.stringify(spec.annotations ?? {}),
    },
    HostConfig: {
      NetworkMode: sandbox.network === 'host' ? 'host' : `container:${sandbox.id}`,
      IpcMode: sandbox.ipc === 'host' ? 'host' : `container:${sandbox.id}`,
      PidMode: sandbox.pid === 'host' ? 'host' : sandbox.pid === 'pod' ? `container:${sandbox.id}` : '',
      Mounts: spec.mounts.map((mount) => ({
        Type: 'bind' as const,
        Source: mount.hostPath,
        Target: mount.containerPath,
        ReadOnly: mount.readOnly,
        BindOptions: propagationOf(mount.propagation),
      })),
      Devices: (spec.devices ?? []).map((device) => ({
        PathOnHost: device.hostPath,
        PathInContainer: device.containerPath,
        CgroupPermissions: device.permissions,
      })),
      Privileged: security.privileged,
      ReadonlyRootfs: security.readOnlyRoot,
      CapAdd: [...security.capabilitiesAdd],
      CapDrop: [...security.capabilitiesDrop],
      GroupAdd: (security.supplementalGroups ?? []).map(String),
      SecurityOpt: [
        ...(security.noNewPrivileges ? ['no-new-privileges'] : []),
        ...(security.seccompUnconfined ? ['seccomp=unconfined'] : []),
      ],
      ...(resources.cpuShares === undefined ? {} : { CpuShares: resources.cpuShares }),
      ...(resources.cpuQuotaUs === undefined ? {} : { CpuPeriod: cpuPeriodUs, CpuQuota: resources.cpuQuotaUs }),
      ...(resources.memoryLimitBytes === undefined
        ? {}
        : { Memory: resources.memoryLimitBytes, MemorySwap: resources.memoryLimitBytes }), // equal: no swap
      OomScoreAdj: Math.max(resources.oomScoreAdj ?? 0, oomScoreFloor),
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } }, // 30 MB for each container
      RestartPolicy: { Name: 'no' },
    },
  };
}

/** Without a user of its own the image's stays, also when only the group is given. */
function userOf(spec: ContainerSpec, imageUser: string): { User?: string } {
  const { runAsUser, runAsGroup } = spec.security;
  if (runAsUser === undefined && runAsGroup === undefined) return {};
  const user = runAsUser === undefined ? imageUser.split(':')[0] || '0' : String(runAsUser);
  return { User: runAsGroup === undefined ? user : `${user}:${runAsGroup}` };
}

/** None: private, unless the mount holds the engine's own folder, as `/` does: then the engine wants a slave and refuses to be told otherwise. */
const propagationOf = (propagation: ContainerSpec['mounts'][number]['propagation']) => {
  if (propagation === 'Bidirectional') return { Propagation: 'rshared' as const };
  return propagation === 'HostToContainer' ? { Propagation: 'rslave' as const } : {};
};
