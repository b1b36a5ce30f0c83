/**
 * The seam to container engines. Every verb is idempotent; `observe()` is the truth the kubelet reconciles against.
 * A runtime marks what it makes with its cluster id, so that two clusters on one engine never see each other.
 */
export interface SandboxSpec {
  readonly podUid: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly hostname: string;
  /** `pod`: a network namespace of its own, without links until the PodNetwork attaches. `host`: the node's. */
  readonly network: 'pod' | 'host';
  readonly hostPid?: boolean;
  readonly hostIpc?: boolean;
  readonly sharePid?: boolean;
  readonly sysctls?: Readonly<Record<string, string>>;
  /** Grows when a sandbox of this pod has died and is made again. */
  readonly attempt: number;
}
export interface SandboxState {
  readonly id: string;
  readonly podUid: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly attempt: number;
  readonly ready: boolean;
  /** `/proc/PID/ns/net`; absent for host network and for runtimes without namespaces. */
  readonly netnsPath?: string;
  /** Addresses that the runtime itself gave (runtimes without network namespaces); no PodNetwork is asked then. */
  readonly ips?: readonly string[];
  readonly createdAtMs: number;
}
export interface Mount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly readOnly: boolean;
  readonly propagation?: 'None' | 'HostToContainer' | 'Bidirectional';
}
export interface ContainerSpec {
  readonly podUid: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly name: string;
  /** 0 for the first start, +1 for every restart. */
  readonly attempt: number;
  /** As ensureImage resolved it. */
  readonly imageId: string;
  /** As the pod names it. */
  readonly image: string;
  /** Kubernetes' command: replaces the image's entrypoint. */
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env: readonly (readonly [name: string, value: string])[];
  readonly workingDir?: string;
  readonly mounts: readonly Mount[];
  readonly devices?: readonly { hostPath: string; containerPath: string; permissions: string }[];
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly security: {
    readonly runAsUser?: number;
    readonly runAsGroup?: number;
    readonly supplementalGroups?: readonly number[];
    readonly privileged: boolean;
    readonly readOnlyRoot: boolean;
    readonly noNewPrivileges: boolean;
    readonly capabilitiesAdd: readonly string[];
    readonly capabilitiesDrop: readonly string[];
    /** Absent: the engine's default profile. */
    readonly seccompUnconfined?: boolean;
  };
  readonly resources: {
    readonly cpuShares?: number;
    /** Microseconds per 100 ms period. */
    readonly cpuQuotaUs?: number;
    readonly memoryLimitBytes?: number;
    readonly oomScoreAdj?: number;
  };
  readonly stopSignal?: string;
  /** Of the parts of the pod's spec that this container was made from; kept with the container and reported by observe(). */
  readonly specHash: string;
  /** Extra text kept with the container and reported back, such as the restart policy's data. */
  readonly annotations?: Readonly<Record<string, string>>;
}
export interface ContainerState {
  readonly id: string;
  readonly podUid: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly name: string;
  readonly attempt: number;
  readonly state: 'created' | 'running' | 'exited';
  readonly image: string;
  readonly imageId: string;
  readonly specHash: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
  readonly startedAtMs?: number;
  readonly finishedAtMs?: number;
  readonly exitCode?: number;
  readonly oomKilled?: boolean;
  /** What the engine says when it could not start it. */
  readonly error?: string;
}
export interface Observation {
  readonly sandboxes: readonly SandboxState[];
  readonly containers: readonly ContainerState[];
}
/** `reason` is what kubectl shows: ErrImagePull, ErrImageNeverPull, InvalidImageName, ImageInspectError. */
export class ImageError extends Error {
  constructor(
    readonly reason: 'ErrImagePull' | 'ErrImageNeverPull' | 'InvalidImageName' | 'ImageInspectError',
    message: string,
  ) {
    super(message);
    this.name = 'ImageError';
  }
}
/** `reason` is what kubectl shows: CreateContainerError, CreateContainerConfigError, RunContainerError, StartError. */
export class ContainerError extends Error {
  constructor(
    readonly reason: string,
    message: string,
  ) {
    super(message);
    this.name = 'ContainerError';
  }
}
export interface LogOptions {
  readonly follow?: boolean;
  readonly tailLines?: number;
  readonly sinceMs?: number;
}
/** One line, its newline included (the last one of a running container may lack it). */
export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  readonly timeMs: number;
  /** RFC 3339 with nanoseconds where the engine knows them. */
  readonly time: string;
  readonly bytes: Uint8Array;
}
/** A running exec, attach or port connection. Closing stdin is a half-close. */
export interface Session {
  readonly stdin?: { write(bytes: Uint8Array): void | Promise<void>; end(): void };
  readonly stdout: ReadableStream<Uint8Array>;
  /** Absent with a TTY. */
  readonly stderr?: ReadableStream<Uint8Array>;
  resize(columns: number, rows: number): Promise<void>;
  /** Exit code of an exec; 0 for attach and ports. */
  readonly done: Promise<{ code: number }>;
  close(): void;
}
export interface ContainerStats {
  readonly podUid: string;
  readonly container: string;
  readonly timeMs: number;
  readonly cpuUsageNs: number;
  readonly memoryWorkingSetBytes: number;
}
export interface ImageInfo {
  readonly id: string;
  readonly names: readonly string[];
  /** `repository@sha256:…` as a registry knows it; absent or empty for images made here. */
  readonly digests?: readonly string[];
  readonly sizeBytes: number;
  /** The image's own user (`1000`, `nobody`, `1000:1000`), for runAsNonRoot. */
  readonly user?: string;
}
export interface ContainerRuntime extends AsyncDisposable {
  /** `docker`, `process`, `fake`. */
  readonly name: string;
  version(): Promise<string>;
  /** Throws ImageError. `never` and `ifPresent` do not touch the network when the image is there. */
  ensureImage(image: string, policy: 'Always' | 'IfNotPresent' | 'Never', signal: AbortSignal): Promise<ImageInfo>;
  images(): Promise<ImageInfo[]>;
  removeImage(id: string): Promise<void>;
  ensureSandbox(spec: SandboxSpec): Promise<SandboxState>;
  /** The pod has ended: frees what the sandbox holds (processes, network, address). Its containers stay, for their logs. */
  endSandbox(podUid: string): Promise<void>;
  /** What a container goes without here that is no reason to refuse it; the kubelet tells it by an event. */
  leavesOut?(spec: ContainerSpec): readonly string[];
  /** Stops and removes the sandbox and every container in it. */
  removeSandbox(podUid: string): Promise<void>;
  /** Resolves to the container's id. Throws ContainerError. */
  create(spec: ContainerSpec): Promise<string>;
  start(containerId: string): Promise<void>;
  /** Asks by signal, kills after graceMs; resolves when it has ended. */
  stop(containerId: string, graceMs: number): Promise<void>;
  remove(containerId: string): Promise<void>;
  observe(podUid?: string): Promise<Observation>;
  /** Pods whose containers or sandbox changed; a hint, never the truth. Ends when the signal aborts or the engine is lost. */
  changes(signal: AbortSignal): AsyncIterable<{ podUid: string }>;
  /** Ends after the last line unless followed; a followed one ends when the container does. */
  logs(containerId: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>;
  exec(
    containerId: string,
    options: { command: readonly string[]; tty: boolean; stdin: boolean; signal?: AbortSignal },
  ): Promise<Session>;
  attach(containerId: string, options: { tty: boolean; stdin: boolean; signal?: AbortSignal }): Promise<Session>;
  /** Of a runtime whose pods are on no network: whether their ports answer probes. Absent: probes are sent. */
  answers?(containerId: string): boolean;
  /** A TCP connection to localhost:port inside the pod. */
  dial(podUid: string, port: number, signal?: AbortSignal): Promise<Session>;
  stats(): Promise<ContainerStats[]>;
}
/**
 * Runtimes beside a node's own, by the handler that a RuntimeClass names. They come and go, and what they run stays. Ids of
 * their containers begin with `HANDLER:`.
 */
export interface RuntimeHandlers {
  names(): readonly string[];
  /** The same object as long as somebody provides it; its verbs throw while nobody answers. Not to be disposed of. */
  get(handler: string): ContainerRuntime | undefined;
  onChange(handler: () => void): Disposable;
}
/** The handler in a container's id; undefined for containers of the node's own runtime. */
export const handlerOfId = (containerId: string): string | undefined => {
  const end = containerId.indexOf(':');
  return end < 0 ? undefined : containerId.slice(0, end);
};
