import { arch, availableParallelism, release, totalmem } from 'node:os';
import type { NodeSystemInfo } from '#api';
import { type Files, systemFiles } from '#base';

export interface Machine {
  readonly capacity: Readonly<Record<string, string>>;
  readonly memoryBytes: number;
  readonly info: NodeSystemInfo;
  /** As Kubernetes names it: amd64, arm64. */
  readonly arch: string;
  /** The kernel runs with SELinux. */
  readonly seLinux: boolean;
}
const podsMaxDefault = 110;

/** What this machine has, for the Node object. */
export async function readMachine(options: {
  readonly folder: string;
  readonly runtimeVersion: string;
  readonly kubeletVersion: string;
  readonly podsMax?: number;
  readonly files?: Files;
}): Promise<Machine> {
  const { readFile, stat, statfs } = options.files ?? systemFiles;
  const read = async (path: string) => (await readFile(path, 'utf8').catch(() => '')).trim();
  const [machineId, bootId, uuid, os] = await Promise.all(
    ['/etc/machine-id', '/proc/sys/kernel/random/boot_id', '/sys/class/dmi/id/product_uuid', '/etc/os-release'].map(
      read,
    ),
  );
  const disk = await statfs(options.folder).catch(() => undefined);
  const name = arch() === 'x64' ? 'amd64' : arch();
  return {
    arch: name,
    seLinux: await stat('/sys/fs/selinux/enforce').then(
      () => true,
      () => false,
    ),
    memoryBytes: totalmem(),
    capacity: {
      cpu: String(availableParallelism()),
      memory: `${Math.floor(totalmem() / 1024)}Ki`,
      pods: String(options.podsMax ?? podsMaxDefault),
      'ephemeral-storage': `${Math.floor(((disk?.blocks ?? 0) * (disk?.bsize ?? 0)) / 1024)}Ki`,
    },
    info: {
      architecture: name,
      bootID: bootId ?? '',
      containerRuntimeVersion: options.runtimeVersion,
      kernelVersion: release(),
      kubeProxyVersion: '',
      kubeletVersion: options.kubeletVersion,
      machineID: machineId ?? '',
      operatingSystem: 'linux',
      osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(os ?? '')?.[1] ?? 'Linux',
      systemUUID: uuid || machineId || '',
    },
  };
}
