import { join } from 'node:path';
import type { Pod } from '#api';
import type { Files } from '#base';
import { ContainerError, type ContainerSpec, type ImageInfo, type Mount, type SandboxState } from '#sdk';
import { containerEnv, type EnvSources } from './env.ts';
import { expand, expandStrict } from './expansion.ts';
import { hostnameOf, hostsFile } from './hosts.ts';
import type { PodContainer } from './names.ts';
import { specHashOf } from './plan.ts';
import { resolvFile } from './resolv.ts';
import { resourcesOf } from './resources.ts';
import { nonRootViolation, securityOf } from './security.ts';
import { resolveSubPath } from './volumes/subpath.ts';

export interface SpecInput {
  readonly pod: Readonly<Pod>;
  readonly container: PodContainer;
  readonly attempt: number;
  readonly image: ImageInfo;
  readonly sandbox: SandboxState;
  readonly env: EnvSources;
  readonly volumePaths: ReadonlyMap<string, string>;
  /** The pod's own folder on the node. */
  readonly podFolder: string;
  readonly nodeName: string;
  readonly clusterDomain: string;
  readonly clusterDns: readonly string[];
  /** Told once for each pod, as a warning event. */
  readonly warn: (reason: string, message: string) => void;
  readonly memoryCapacityBytes: number;
  readonly files: Files;
}

const messagePathDefault = '/dev/termination-log';
/** Where a container's termination message is on the node. */
export const terminationFileOf = (podFolder: string, container: string, attempt: number): string =>
  join(podFolder, 'containers', container, String(attempt), 'termination-log');

/** What the engine needs to make the container. Throws ContainerError CreateContainerConfigError, with upstream's text as its message. */
export async function containerSpecOf(input: SpecInput): Promise<ContainerSpec> {
  const { pod, container, image, attempt } = input;
  const spec = container.spec;
  const violation = nonRootViolation(pod, spec, image);
  if (violation) throw configError(violation);
  const env = orConfigError(() => containerEnv(pod, spec, input.env));
  if (input.sandbox.ips && !pod.spec?.hostNetwork && !env.some(([name]) => name === 'POD_IP'))
    env.push(['POD_IP', input.sandbox.ips[0] ?? '']); // without a network namespace the pod must bind its own address
  const values = new Map(env);
  const lookup = (name: string) => values.get(name);
  const mounts = await mountsOf(input, lookup);
  return {
    podUid: pod.metadata.uid!,
    podName: pod.metadata.name!,
    podNamespace: pod.metadata.namespace!,
    name: spec.name,
    attempt,
    imageId: image.id,
    image: spec.image ?? '',
    command: spec.command?.map((part) => expand(part, lookup)),
    args: spec.args?.map((part) => expand(part, lookup)),
    env,
    workingDir: spec.workingDir,
    mounts,
    tty: spec.tty ?? false,
    stdin: spec.stdin ?? false,
    stdinOnce: spec.stdinOnce ?? false,
    security: securityOf(pod, spec),
    resources: resourcesOf(pod, spec, input.memoryCapacityBytes),
    stopSignal: spec.lifecycle?.stopSignal,
    specHash: specHashOf(spec),
  };
}

const configError = (message: string) => new ContainerError('CreateContainerConfigError', message);
function orConfigError<R>(make: () => R): R {
  try {
    return make();
  } catch (error) {
    throw configError(error instanceof Error ? error.message : String(error));
  }
}

async function mountsOf(input: SpecInput, lookup: (name: string) => string | undefined): Promise<Mount[]> {
  const { pod, container, volumePaths, podFolder } = input;
  const spec = container.spec;
  const mounts: Mount[] = [];
  for (const mount of spec.volumeMounts ?? []) {
    const volume = volumePaths.get(mount.name);
    if (!volume) throw configError(`cannot find volume "${mount.name}" to mount into container "${spec.name}"`);
    const subPath = mount.subPathExpr ? orConfigError(() => expandStrict(mount.subPathExpr!, lookup)) : mount.subPath;
    let hostPath = volume;
    if (subPath)
      hostPath = await resolveSubPath(volume, subPath, input.files).catch(() => {
        throw configError(`failed to prepare subPath for volumeMount "${mount.name}" of container "${spec.name}"`);
      });
    const own = pod.spec?.volumes?.find(({ name }) => name === mount.name);
    const generated = own?.configMap || own?.secret || own?.downwardAPI || own?.projected;
    mounts.push({
      hostPath,
      containerPath: mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`,
      readOnly: Boolean(mount.readOnly || generated),
      propagation: (mount.mountPropagation ?? 'None') as Mount['propagation'],
    });
  }
  const taken = new Set(mounts.map(({ containerPath }) => containerPath));
  const etc = await etcFiles(input);
  for (const [path, hostPath] of etc)
    if (!taken.has(path))
      mounts.push({ hostPath, containerPath: path, readOnly: spec.securityContext?.readOnlyRootFilesystem ?? false });
  const { chmod, mkdir, writeFile } = input.files;
  const message = terminationFileOf(podFolder, spec.name, input.attempt);
  await mkdir(join(message, '..'), { recursive: true });
  await writeFile(message, '', { flag: 'a' });
  await chmod(message, 0o666);
  mounts.push({ hostPath: message, containerPath: spec.terminationMessagePath || messagePathDefault, readOnly: false });
  return mounts;
}

/** Writes the pod's /etc/hosts and /etc/resolv.conf once, and gives their places. */
async function etcFiles(input: SpecInput): Promise<[string, string][]> {
  const { pod, podFolder, nodeName, clusterDomain, clusterDns, env } = input;
  const { lstat, mkdir, readFile, writeFile } = input.files;
  const hosts = join(podFolder, 'etc-hosts');
  const resolv = join(podFolder, 'resolv.conf');
  if (!(await lstat(resolv).catch(() => undefined))) {
    const { hostname, domain } = hostnameOf(pod, nodeName, clusterDomain);
    const nodeFile = pod.spec?.hostNetwork ? await readFile('/etc/hosts', 'utf8').catch(() => '') : undefined;
    await mkdir(podFolder, { recursive: true });
    await writeFile(
      hosts,
      hostsFile({ ips: env.facts.podIps, hostname, domain, aliases: pod.spec?.hostAliases, nodeFile }),
    );
    const node = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
    const made = resolvFile(pod, { clusterDns, clusterDomain, nodeFile: node });
    await writeFile(resolv, made.text);
    for (const { reason, message } of made.warnings) input.warn(reason, message);
  }
  return [
    ['/etc/hosts', hosts],
    ['/etc/resolv.conf', resolv],
  ];
}
