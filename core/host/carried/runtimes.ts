import { messageOf, PintleError } from '#base';
import {
  ContainerError,
  type ContainerRuntime,
  type ContainerSpec,
  type ContainerState,
  type ContainerStats,
  ImageError,
  type ImageInfo,
  type LogLine,
  type LogOptions,
  type Observation,
  type RuntimeAnswer,
  type RuntimeHandlers,
  type RuntimeVerb,
  type SandboxSpec,
  type SandboxState,
  type Session,
  type StreamAsked,
  type StreamItem,
} from '#sdk';
import type { NodeContributions } from './contributions.ts';
import { openSession, type StreamEnds, streamItems } from './runtime-streams.ts';

export interface CarriedRuntimesOptions {
  readonly contributions: NodeContributions;
  /** Names that mean the node's own runtime. */
  readonly own: readonly string[];
  /** Whether this is the network namespace of a pod, and not that of the host. */
  readonly isPodNetns: (path: string) => Promise<boolean>;
}
const verbMsMax = 60_000;
const pullMsMax = 900_000;
const readMsMax = 20_000; // the plugin answers within 10 s

/** The container runtimes of the plugins on one node, by the handler of a RuntimeClass. */
export class CarriedRuntimes implements RuntimeHandlers {
  readonly #runtimes = new Map<string, ContainerRuntime>();
  constructor(private readonly options: CarriedRuntimesOptions) {
    options.contributions.reserve('runtimes', options.own);
  }
  names(): readonly string[] {
    return this.options.contributions.names('runtimes');
  }
  get(handler: string): ContainerRuntime | undefined {
    if (!this.options.contributions.owner('runtimes', handler)) return undefined;
    const runtime = this.#runtimes.get(handler) ?? new CarriedRuntime(handler, this.options);
    this.#runtimes.set(handler, runtime);
    return runtime;
  }
  onChange(handler: () => void): Disposable {
    return this.options.contributions.onChange(handler);
  }
}

/** A runtime in a plugin's process. Containers have its name before their ids, so that none is taken for another's. */
class CarriedRuntime implements ContainerRuntime {
  constructor(
    readonly name: string,
    private readonly options: CarriedRuntimesOptions,
  ) {}

  version(): Promise<string> {
    return this.#call('version', []).then(String);
  }
  async ensureImage(
    image: string,
    policy: 'Always' | 'IfNotPresent' | 'Never',
    signal: AbortSignal,
  ): Promise<ImageInfo> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const stop = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      return (await Promise.race([
        this.#call('ensureImage', [image, policy], pullMsMax),
        aborted.promise,
      ])) as ImageInfo;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
  images(): Promise<ImageInfo[]> {
    return this.#call('images', []) as Promise<ImageInfo[]>;
  }
  async removeImage(id: string): Promise<void> {
    await this.#call('removeImage', [id]);
  }
  async ensureSandbox(spec: SandboxSpec): Promise<SandboxState> {
    const said = (await this.#call('ensureSandbox', [spec])) as SandboxState;
    if (said?.podUid !== spec.podUid)
      throw this.#wrong(`answers for pod ${String(said?.podUid)} in place of ${spec.podUid}`);
    return this.#checked(said);
  }
  async endSandbox(podUid: string): Promise<void> {
    await this.#call('endSandbox', [podUid]);
  }
  async removeSandbox(podUid: string): Promise<void> {
    await this.#call('removeSandbox', [podUid]);
  }
  async create(spec: ContainerSpec): Promise<string> {
    return this.#outer(String(await this.#call('create', [spec])));
  }
  async start(containerId: string): Promise<void> {
    await this.#call('start', [this.#inner(containerId)]);
  }
  async stop(containerId: string, graceMs: number): Promise<void> {
    await this.#call('stop', [this.#inner(containerId), graceMs], graceMs + verbMsMax);
  }
  async remove(containerId: string): Promise<void> {
    await this.#call('remove', [this.#inner(containerId)]);
  }
  async observe(podUid?: string): Promise<Observation> {
    const said = (await this.#call('observe', podUid === undefined ? [] : [podUid])) as Partial<Observation>;
    const { sandboxes, containers } = said ?? {};
    if (!Array.isArray(sandboxes) || !Array.isArray(containers)) throw this.#wrong('observes nothing that can be read');
    const isWanted = (one: { podUid?: unknown }) =>
      typeof one?.podUid === 'string' && (podUid === undefined || one.podUid === podUid);
    return {
      sandboxes: await Promise.all((sandboxes as SandboxState[]).filter(isWanted).map((one) => this.#checked(one))),
      containers: (containers as ContainerState[])
        .filter((one) => isWanted(one) && typeof one.id === 'string')
        .map((one) => ({ ...one, id: this.#outer(one.id) })),
    };
  }
  async *changes(signal: AbortSignal): AsyncGenerator<{ podUid: string }> {
    for await (const item of this.#items({ verb: 'changes' }, signal))
      if (item.type === 'change') yield { podUid: String(item.podUid) };
  }
  async *logs(containerId: string, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine> {
    for await (const item of this.#items({ verb: 'logs', containerId: this.#inner(containerId), options }, signal))
      if (item.type === 'line') {
        const { stream, timeMs, time, base64 } = item;
        yield { stream, timeMs, time, bytes: Buffer.from(base64, 'base64') };
      }
  }
  exec(
    containerId: string,
    { command, tty, stdin, signal }: { command: readonly string[]; tty: boolean; stdin: boolean; signal?: AbortSignal },
  ): Promise<Session> {
    const asked = { verb: 'exec' as const, containerId: this.#inner(containerId), options: { command, tty, stdin } };
    return openSession(this.#ends(), asked, { stdin, tty, signal });
  }
  attach(
    containerId: string,
    { tty, stdin, signal }: { tty: boolean; stdin: boolean; signal?: AbortSignal },
  ): Promise<Session> {
    const asked = { verb: 'attach' as const, containerId: this.#inner(containerId), options: { tty, stdin } };
    return openSession(this.#ends(), asked, { stdin, tty, signal });
  }
  dial(podUid: string, port: number, signal?: AbortSignal): Promise<Session> {
    return openSession(this.#ends(), { verb: 'dial', podUid, port }, { stdin: true, tty: true, signal });
  }
  async stats(): Promise<ContainerStats[]> {
    const said = await this.#call('stats', []);
    return Array.isArray(said) ? (said as ContainerStats[]) : [];
  }
  async [Symbol.asyncDispose](): Promise<void> {}

  async #call(verb: RuntimeVerb, args: readonly unknown[], timeoutMs = verbMsMax): Promise<unknown> {
    const { name } = this;
    return this.#unpack(
      await this.options.contributions.ask('runtimes', name, 'runtime.call', { name, verb, args }, timeoutMs),
    );
  }
  #unpack(said: unknown): unknown {
    const answer = (said ?? {}) as RuntimeAnswer;
    if (!('failure' in answer)) return answer.value;
    const message = String(answer.message).slice(0, 4_096);
    if (answer.failure === 'image') throw new ImageError(answer.reason as ImageError['reason'], message);
    if (answer.failure === 'container') throw new ContainerError(String(answer.reason).slice(0, 64), message);
    throw new Error(message);
  }
  #ends(): StreamEnds {
    const { name, options } = this;
    type Without<T> = T extends unknown ? Omit<T, 'name'> : never;
    return {
      ask: async (asked: Without<StreamAsked>) => {
        const whole = { ...asked, name } as StreamAsked;
        return options.contributions.ask('runtimes', name, 'runtime.stream', whole, readMsMax);
      },
      unpack: (said) => this.#unpack(said),
    };
  }
  #items(asked: Parameters<StreamEnds['ask']>[0], signal: AbortSignal): AsyncGenerator<StreamItem> {
    return streamItems(this.#ends(), asked, signal);
  }

  /** Addresses and namespaces are the network's to give: what runs in a sandbox can know none. */
  async #checked(state: SandboxState): Promise<SandboxState> {
    const { contributions, isPodNetns } = this.options;
    const caged = contributions.owner('runtimes', this.name)?.isolation !== 'process';
    if (caged && (state.netnsPath !== undefined || state.ips !== undefined))
      throw this.#wrong('names a network namespace or addresses, which nothing in a sandbox can have made');
    if (state.netnsPath !== undefined && !(await isPodNetns(state.netnsPath)))
      throw this.#wrong(`names ${JSON.stringify(state.netnsPath).slice(0, 80)} as the network namespace of a pod`);
    return state;
  }
  #wrong(why: string): PintleError {
    return new PintleError(
      'RUNTIME_REFUSED',
      `container runtime ${this.name} ${why}`,
      'tell its author; the pod waits, and what runs stays',
    );
  }
  #outer(id: string): string {
    if (!/^[\w.-]{1,128}$/.test(id))
      throw this.#wrong(`has a container with the id ${JSON.stringify(id).slice(0, 80)}`);
    return `${this.name}:${id}`;
  }
  #inner(id: string): string {
    if (!id.startsWith(`${this.name}:`)) throw new Error(`container ${id} is not one of ${this.name}`);
    return id.slice(this.name.length + 1);
  }
}

/** `/proc/PID/ns/net` of a process in another network namespace than this one, or a name in /run/netns. */
export function podNetnsCheck(files: {
  stat(path: string): Promise<{ readonly ino: number }>;
}): (path: string) => Promise<boolean> {
  return async (path) => {
    if (!/^\/proc\/[1-9]\d*\/ns\/net$/.test(path) && !/^(\/var)?\/run\/netns\/[\w-][\w.-]{0,63}$/.test(path))
      return false;
    try {
      const [theirs, ours] = await Promise.all([files.stat(path), files.stat('/proc/self/ns/net')]);
      return theirs.ino !== ours.ino;
    } catch (error) {
      throw new Error(`the network namespace ${path} cannot be read: ${messageOf(error)}`);
    }
  };
}
