import type { DuplexChild } from '#base';

/** What a plugin's container is asked to be. The engine's words for it are the business of the ContainerEngine. */
export interface ContainerRun {
  /** One container of this name at a time: a former one is removed first. */
  readonly name: string;
  /** Of the host that runs it: what it left behind is found by this. */
  readonly host: string;
  /** Absent: an image of empty folders, over which the program of this host and its libraries are mounted read-only. */
  readonly image?: string;
  /** Absent: the image's own. */
  readonly command?: readonly string[];
  /** Host path → path inside, in this order. */
  readonly mounts: readonly { readonly from: string; readonly to: string; readonly readOnly: boolean }[];
  /** Who it runs as, where the engine has the users of this machine. */
  readonly uid: number;
  readonly memoryBytes: number;
  readonly processesMax: number;
  readonly openFilesMax: number;
  readonly network: 'none' | 'host';
}
export interface ContainerChild extends DuplexChild {
  /** What was read back from the engine and the kernel. */
  readonly facts: readonly string[];
  memoryBytes(): Promise<number | undefined>;
  /** After its end. */
  remove(): Promise<void>;
}
/** The container engine of this host, for plugins. */
export interface ContainerEngine {
  /** False: nobody answers now. */
  answers(): Promise<boolean>;
  /** Throws SANDBOX_IMPOSSIBLE when the engine does not give what is asked: nothing runs then. */
  run(wanted: ContainerRun, signal?: AbortSignal): Promise<ContainerChild>;
  /** Removes what a former life of the host left running. */
  sweep(host: string): Promise<void>;
}

/** What the engine says of a container that it made; the fields used here. */
export interface MadeContainer {
  readonly Image: string;
  readonly HostConfig: {
    readonly ReadonlyRootfs: boolean;
    readonly Privileged: boolean;
    readonly NetworkMode: string;
    readonly PidMode: string;
    readonly CapAdd?: readonly string[] | null;
    readonly Memory: number;
    readonly PidsLimit?: number | null;
  };
  readonly State: { readonly Pid: number };
}

/** What it lacks of what was asked for, by the engine's own words. Pure. */
export function lackingOf({ HostConfig: made }: MadeContainer, wanted: ContainerRun): string[] {
  const lacking: string[] = [];
  const must = (fits: boolean, what: string): void => void (fits || lacking.push(what));
  must(made.ReadonlyRootfs, 'a root that is read-only');
  must(!made.Privileged && (made.CapAdd ?? []).length === 0, 'no privileges');
  must(made.NetworkMode === wanted.network, wanted.network === 'none' ? 'no network' : 'the network of the host');
  must(made.PidMode !== 'host', 'process numbers of its own');
  must(made.Memory === wanted.memoryBytes, 'a memory limit');
  must(made.PidsLimit === wanted.processesMax, 'a limit of tasks');
  return lacking;
}

/** What its first process lacks, by /proc/PID/status. Pure. */
export function lackingOfProcess(status: string, uid: number | undefined): string[] {
  const field = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1] ?? '';
  const lacking: string[] = [];
  if (field('NoNewPrivs') !== '1') lacking.push('no_new_privs');
  for (const set of ['CapEff', 'CapPrm', 'CapBnd', 'CapAmb'])
    if (!/^0+$/.test(field(set))) lacking.push(`no capabilities (${set} ${field(set)})`);
  const users = field('Uid').split(/\s+/);
  if (uid !== undefined && users.some((one) => one !== String(uid))) lacking.push(`user ${uid} (it has ${users[0]})`);
  return lacking;
}

/** Pure. `uid` undefined: a user of the engine's own user namespace. */
export function factsOf(
  { Image }: MadeContainer,
  { memoryBytes, processesMax, openFilesMax, image, network }: ContainerRun,
  uid: number | undefined,
  seccomp: boolean,
): string[] {
  return [
    image === undefined ? 'container of Bun' : `container of ${image} (${Image.replace(/^sha256:/, '').slice(0, 12)})`,
    'own root: read-only; bundle read-only, state writable',
    network === 'none' ? 'network namespace without interfaces' : 'network of the host',
    `open files ${openFilesMax}`,
    uid === undefined ? 'user namespace' : `uid ${uid}`,
    'no capabilities',
    'no_new_privs',
    ...(seccomp ? ['seccomp filter of the engine'] : []),
    `memory ${memoryBytes / 1024 / 1024} MiB and ${processesMax} tasks (the engine's cgroup)`,
  ];
}
