import type { Container, Pod, PodSecurityContext, SecurityContext } from '#api';

/** The checks of the Pod Security Standards. Pure: each answers why a pod is refused, or undefined. */
export interface Violation {
  readonly reason: string;
  readonly detail: string;
}
type Spec = NonNullable<Pod['spec']>;
export type Check = (pod: Readonly<Pod>, spec: Readonly<Spec>) => Violation | undefined;

const containersOf = (spec: Readonly<Spec>): Container[] => [
  ...(spec.initContainers ?? []),
  ...(spec.containers ?? []),
  ...((spec.ephemeralContainers ?? []) as Container[]),
];
const quoted = (texts: readonly string[]): string => texts.map((text) => JSON.stringify(text)).join(', ');
const sorted = (texts: Iterable<string>): string[] => [...new Set(texts)].sort();
const many = (one: string, count: number): string => (count === 1 ? one : `${one}s`);
const named = (names: readonly string[]): string => `${many('container', names.length)} ${quoted(names)}`;
const uses = (count: number): string => (count === 1 ? 'uses' : 'use');
const badContainers = (spec: Readonly<Spec>, isBad: (context: SecurityContext | undefined, c: Container) => boolean) =>
  containersOf(spec)
    .filter((container) => isBad(container.securityContext, container))
    .map((container) => container.name);
const isWindows = (spec: Readonly<Spec>): boolean => spec.os?.name === 'windows';
/** Root in a user namespace of its own is nobody outside. */
const isRelaxed = (spec: Readonly<Spec>): boolean => spec.hostUsers === false;

/** A setting that the pod or a container may not have: who set it, and to what. */
function setters(
  spec: Readonly<Spec>,
  values: (context: Readonly<PodSecurityContext | SecurityContext>) => readonly string[],
): { who: string; values: string[] } | undefined {
  const found = new Set<string>();
  const isBad = (context: PodSecurityContext | SecurityContext | undefined): boolean => {
    const bad = context ? values(context) : [];
    for (const value of bad) found.add(value);
    return bad.length > 0;
  };
  const who = isBad(spec.securityContext) ? ['pod'] : [];
  const names = badContainers(spec, isBad);
  if (names.length > 0) who.push(named(names));
  return who.length > 0 ? { who: who.join(' and '), values: sorted(found) } : undefined;
}

const windowsHostProcess: Check = (_pod, spec) => {
  const bad = setters(spec, (context) => (context.windowsOptions?.hostProcess ? ['true'] : []));
  return (
    bad && { reason: 'hostProcess', detail: `${bad.who} must not set securityContext.windowsOptions.hostProcess=true` }
  );
};
const hostNamespaces: Check = (_pod, spec) => {
  const set = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((name) => spec[name]);
  return set.length > 0
    ? { reason: 'host namespaces', detail: set.map((name) => `${name}=true`).join(', ') }
    : undefined;
};
const privileged: Check = (_pod, spec) => {
  const bad = badContainers(spec, (context) => context?.privileged === true);
  return bad.length > 0
    ? { reason: 'privileged', detail: `${named(bad)} must not set securityContext.privileged=true` }
    : undefined;
};
const defaultCapabilities = new Set([
  ...['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE'],
  ...['SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT'],
]);
function addedBeyond(spec: Readonly<Spec>, allowed: (name: string) => boolean): { names: string[]; text: string } {
  const added = new Set<string>();
  const names = badContainers(spec, (context) => {
    const more = (context?.capabilities?.add ?? []).filter((name) => !allowed(name));
    for (const name of more) added.add(name);
    return more.length > 0;
  });
  return {
    names,
    text: `${named(names)} must not include ${quoted(sorted(added))} in securityContext.capabilities.add`,
  };
}
const capabilitiesBaseline: Check = (_pod, spec) => {
  const { names, text } = addedBeyond(spec, (name) => defaultCapabilities.has(name));
  return names.length > 0 ? { reason: 'non-default capabilities', detail: text } : undefined;
};
const hostPathVolumes: Check = (_pod, spec) => {
  const bad = (spec.volumes ?? []).filter((volume) => volume.hostPath).map((volume) => volume.name);
  return bad.length > 0
    ? { reason: 'hostPath volumes', detail: `${many('volume', bad.length)} ${quoted(bad)}` }
    : undefined;
};
const hostPorts: Check = (_pod, spec) => {
  const ports = new Set<string>();
  const bad = badContainers(spec, (_context, { ports: all = [] }) => {
    const used = all.filter((port) => port.hostPort);
    for (const port of used) ports.add(String(port.hostPort));
    return used.length > 0;
  });
  const list = sorted(ports);
  return bad.length > 0
    ? {
        reason: 'hostPort',
        detail: `${named(bad)} ${uses(bad.length)} ${many('hostPort', list.length)} ${list.join(', ')}`,
      }
    : undefined;
};
const hostProbes: Check = (_pod, spec) => {
  const hosts = new Set<string>();
  const bad = badContainers(spec, (_context, container) => {
    const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container;
    const found = [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop]
      .flatMap((handler) => [handler?.httpGet?.host, handler?.tcpSocket?.host])
      .filter((host): host is string => Boolean(host));
    for (const host of found) hosts.add(host);
    return found.length > 0;
  });
  const list = sorted(hosts);
  return bad.length > 0
    ? {
        reason: 'probe or lifecycle host',
        detail: `${named(sorted(bad))} ${uses(bad.length)} ${many('probe or lifecycle host', list.length)} ${quoted(list)}`,
      }
    : undefined;
};
const appArmor: Check = (pod, spec) => {
  const bad = setters(spec, ({ appArmorProfile }) =>
    appArmorProfile && !['RuntimeDefault', 'Localhost'].includes(appArmorProfile.type) ? [appArmorProfile.type] : [],
  );
  const annotations = Object.entries(pod.metadata?.annotations ?? {})
    .filter(([key]) => key.startsWith('container.apparmor.security.beta.kubernetes.io/'))
    .filter(([, value]) => value !== '' && value !== 'runtime/default' && !value.startsWith('localhost/'))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .sort();
  const values = [...(bad?.values ?? []), ...annotations];
  if (values.length === 0) return undefined;
  const who = [bad?.who, annotations.length > 0 ? many('annotation', annotations.length) : undefined].filter(Boolean);
  return {
    reason: many('forbidden AppArmor profile', values.length),
    detail: `${who.join(' and ')} must not set AppArmor profile type to ${quoted(values)}`,
  };
};
const seLinuxTypes = new Set(['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']);
const seLinux: Check = (_pod, spec) => {
  const facts = new Set<string>();
  const types = new Set<string>();
  const bad = setters(spec, ({ seLinuxOptions: options }) => {
    if (!options) return [];
    const isBadType = !seLinuxTypes.has(options.type ?? '');
    if (isBadType) types.add(options.type!);
    if (options.user) facts.add('user may not be set');
    if (options.role) facts.add('role may not be set');
    return isBadType || options.user || options.role ? ['bad'] : [];
  });
  if (!bad) return undefined;
  const data = [
    ...(types.size > 0 ? [`${many('type', types.size)} ${quoted(sorted(types))}`] : []),
    ...['user may not be set', 'role may not be set'].filter((fact) => facts.has(fact)),
  ];
  return {
    reason: 'seLinuxOptions',
    detail: `${bad.who} set forbidden securityContext.seLinuxOptions: ${data.join('; ')}`,
  };
};
const procMount: Check = (pod, spec) => (isRelaxed(spec) ? undefined : procMountRestricted(pod, spec));
const procMountRestricted: Check = (_pod, spec) => {
  const types = new Set<string>();
  const bad = badContainers(spec, (context) => {
    const type = context?.procMount;
    if (type === undefined || type === 'Default') return false;
    types.add(type);
    return true;
  });
  return bad.length > 0
    ? {
        reason: 'procMount',
        detail: `${named(bad)} must not set securityContext.procMount to ${quoted(sorted(types))}`,
      }
    : undefined;
};
const seccompTypes = ['RuntimeDefault', 'Localhost'];
const badSeccomp = ({ seccompProfile }: Readonly<PodSecurityContext | SecurityContext>): string[] =>
  seccompProfile && !seccompTypes.includes(seccompProfile.type) ? [seccompProfile.type] : [];
const seccompBaseline: Check = (_pod, spec) => {
  const bad = setters(spec, badSeccomp);
  return (
    bad && {
      reason: 'seccompProfile',
      detail: `${bad.who} must not set securityContext.seccompProfile.type to ${quoted(bad.values)}`,
    }
  );
};
const safeSysctls = new Set([
  ...['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range'],
  ...['net.ipv4.ip_unprivileged_port_start', 'net.ipv4.ip_local_reserved_ports', 'net.ipv4.tcp_keepalive_time'],
  ...['net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes'],
  ...['net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem', 'net.ipv4.tcp_slow_start_after_idle', 'net.ipv4.tcp_notsent_lowat'],
]);
const sysctls: Check = (_pod, spec) => {
  const bad = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !safeSysctls.has(name));
  return bad.length > 0 ? { reason: 'forbidden sysctls', detail: bad.join(', ') } : undefined;
};

const allowPrivilegeEscalation: Check = (_pod, spec) => {
  if (isWindows(spec)) return undefined;
  const bad = badContainers(spec, (context) => context?.allowPrivilegeEscalation !== false);
  return bad.length > 0
    ? {
        reason: 'allowPrivilegeEscalation != false',
        detail: `${named(bad)} must set securityContext.allowPrivilegeEscalation=false`,
      }
    : undefined;
};
const capabilitiesRestricted: Check = (_pod, spec) => {
  if (isWindows(spec)) return undefined;
  const keeping = badContainers(spec, (context) => !context?.capabilities?.drop?.includes('ALL'));
  const { names, text } = addedBeyond(spec, (name) => name === 'NET_BIND_SERVICE');
  const details = [
    ...(keeping.length > 0 ? [`${named(keeping)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(names.length > 0 ? [text] : []),
  ];
  return details.length > 0 ? { reason: 'unrestricted capabilities', detail: details.join('; ') } : undefined;
};
const freeVolumes = [
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'persistentVolumeClaim', 'projected'],
  'secret',
];
const restrictedVolumes: Check = (_pod, spec) => {
  const types = new Set<string>();
  const bad: string[] = [];
  for (const volume of spec.volumes ?? []) {
    const kinds = Object.keys(volume).filter((key) => key !== 'name');
    if (kinds.some((kind) => freeVolumes.includes(kind))) continue;
    bad.push(volume.name);
    types.add(kinds[0] ?? 'unknown');
  }
  const list = sorted(types);
  return bad.length > 0
    ? {
        reason: 'restricted volume types',
        detail: `${many('volume', bad.length)} ${quoted(bad)} ${uses(bad.length)} ${many('restricted volume type', list.length)} ${quoted(list)}`,
      }
    : undefined;
};
const runAsNonRoot: Check = (_pod, spec) => {
  if (isRelaxed(spec)) return undefined;
  const reason = 'runAsNonRoot != true';
  const bad = setters(spec, ({ runAsNonRoot: value }) => (value === false ? ['false'] : []));
  if (bad) return { reason, detail: `${bad.who} must not set securityContext.runAsNonRoot=false` };
  if (spec.securityContext?.runAsNonRoot) return undefined;
  const silent = badContainers(spec, (context) => context?.runAsNonRoot === undefined);
  return silent.length > 0
    ? { reason, detail: `pod or ${named(silent)} must set securityContext.runAsNonRoot=true` }
    : undefined;
};
const runAsUser: Check = (_pod, spec) => {
  if (isRelaxed(spec)) return undefined;
  const bad = setters(spec, ({ runAsUser: value }) => (value === 0 ? ['0'] : []));
  return bad && { reason: 'runAsUser=0', detail: `${bad.who} must not set runAsUser=0` };
};
const seccompRestricted: Check = (pod, spec) => {
  if (isWindows(spec)) return undefined;
  const bad = seccompBaseline(pod, spec);
  if (bad || spec.securityContext?.seccompProfile) return bad;
  const silent = badContainers(spec, (context) => !context?.seccompProfile);
  return silent.length > 0
    ? {
        reason: 'seccompProfile',
        detail: `pod or ${named(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
      }
    : undefined;
};

/** In the order in which a refusal lists them. */
const common: readonly Check[] = [
  appArmor,
  hostNamespaces,
  hostPorts,
  hostProbes,
  privileged,
  seLinux,
  sysctls,
  windowsHostProcess,
];
export const baselineChecks: readonly Check[] = [
  appArmor,
  capabilitiesBaseline,
  hostNamespaces,
  hostPathVolumes,
  hostPorts,
  hostProbes,
  privileged,
  procMount,
  seLinux,
  seccompBaseline,
  sysctls,
  windowsHostProcess,
];
export const restrictedChecks: readonly Check[] = [
  ...common,
  allowPrivilegeEscalation,
  capabilitiesRestricted,
  procMountRestricted,
  restrictedVolumes,
  runAsNonRoot,
  runAsUser,
  seccompRestricted,
];
