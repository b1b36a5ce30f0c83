import { type Pod, type RuntimeClass, runtimeClassKind } from '#api';
import type { Clock, Log } from '#base';
import type { Informer, InformerFactory } from '#client';
import {
  type ContainerRuntime,
  type ContainerSpec,
  type ContainerStats,
  handlerOfId,
  type ImageInfo,
  type LogLine,
  type LogOptions,
  type Observation,
  type RuntimeHandlers,
  type SandboxSpec,
  type SandboxState,
  type Session,
} from '#sdk';

export interface RoutedRuntimeOptions {
  readonly own: ContainerRuntime;
  readonly handlers: RuntimeHandlers;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly log: Log;
}
const followRetryMs = 1_000;

/**
 * The node's own runtime and those of plugins as one: every call goes where the pod's RuntimeClass says, or the container's
 * id. A runtime whose plugin is away changes nothing: what was seen of it last still holds, and calls for its pods fail.
 */
export class RoutedRuntime implements ContainerRuntime {
  readonly name: string;
  readonly #classes: Informer<RuntimeClass>;
  /** Of each pod that names a class: its handler, as long as the pod is there; the class may go before. */
  readonly #handlerOf = new Map<string, string>();
  readonly #classOf = new Map<string, string>();
  /** Pods with a class of which something was started once: what runs of them only their runtime can say. */
  readonly #begun = new Set<string>();
  /** Pods without a class: nobody else can have them. */
  readonly #ours = new Set<string>();
  readonly #seen = new Map<string, Observation>();
  constructor(private readonly options: RoutedRuntimeOptions) {
    this.name = options.own.name;
    this.#classes = options.informers.informer(runtimeClassKind);
  }

  /** Of a start: looks once more when it is known whose runtime each pod is. Undefined: nobody could look. */
  async sorted(pods: readonly Readonly<Pod>[]): Promise<Observation | undefined> {
    await this.#classes.synced;
    for (const pod of pods) this.note(pod);
    return this.observe().catch(() => undefined);
  }
  note(pod: Readonly<Pod>): void {
    const uid = pod.metadata.uid!;
    const name = pod.spec?.runtimeClassName;
    if (name !== undefined) {
      this.#classOf.set(uid, name);
      if (pod.status?.containerStatuses?.some(({ containerID }) => containerID)) this.#begun.add(uid);
    } else {
      this.#ours.add(uid);
      this.#handlerOf.delete(uid);
    }
  }
  forget(podUid: string): void {
    this.#classOf.delete(podUid);
    this.#handlerOf.delete(podUid);
    this.#ours.delete(podUid);
    this.#begun.delete(podUid);
  }
  /** It may not be known what runs of this pod: somebody has to be asked first. */
  isForeign(podUid: string): boolean {
    return this.#classOf.has(podUid) || this.#handlerOf.has(podUid);
  }
  /** The runtime of one pod; it is looked up at each use, and one that is not there fails with the reason. */
  forPod(podUid: string): ContainerRuntime {
    return new Proxy(this.options.own, {
      get: (_own, verb) => {
        const runtime = this.of(podUid);
        const value = Reflect.get(runtime, verb) as unknown;
        return typeof value === 'function' ? value.bind(runtime) : value;
      },
    });
  }
  of(podUid: string): ContainerRuntime {
    const { own, handlers } = this.options;
    const known = this.#handlerOf.get(podUid);
    const className = this.#classOf.get(podUid);
    if (known === undefined && className === undefined) return own;
    const handler = known ?? this.#classes.cache.get({ name: className! })?.handler;
    const mayRun = known !== undefined || this.#begun.has(podUid);
    if (handler === undefined) return absent(className!, `RuntimeClass "${className}" not found`, mayRun);
    if (handler === '' || handler === own.name) return own;
    const found = handlers.get(handler);
    if (!found) return absent(handler, `RuntimeHandler "${handler}" not supported`, mayRun);
    this.#handlerOf.set(podUid, handler);
    return found;
  }
  #byContainer(id: string): ContainerRuntime {
    const handler = handlerOfId(id);
    if (handler === undefined) return this.options.own;
    return this.options.handlers.get(handler) ?? absent(handler, `RuntimeHandler "${handler}" not supported`);
  }

  version(): Promise<string> {
    return this.options.own.version();
  }
  ensureImage(image: string, policy: 'Always' | 'IfNotPresent' | 'Never', signal: AbortSignal): Promise<ImageInfo> {
    return this.options.own.ensureImage(image, policy, signal);
  }
  images(): Promise<ImageInfo[]> {
    return this.options.own.images();
  }
  removeImage(id: string): Promise<void> {
    return this.options.own.removeImage(id);
  }
  ensureSandbox(spec: SandboxSpec): Promise<SandboxState> {
    return this.of(spec.podUid).ensureSandbox(spec);
  }
  endSandbox(podUid: string): Promise<void> {
    return this.of(podUid).endSandbox(podUid);
  }
  removeSandbox(podUid: string): Promise<void> {
    return this.of(podUid).removeSandbox(podUid);
  }
  create(spec: ContainerSpec): Promise<string> {
    return this.of(spec.podUid).create(spec);
  }
  start(containerId: string): Promise<void> {
    return this.#byContainer(containerId).start(containerId);
  }
  stop(containerId: string, graceMs: number): Promise<void> {
    return this.#byContainer(containerId).stop(containerId, graceMs);
  }
  remove(containerId: string): Promise<void> {
    return this.#byContainer(containerId).remove(containerId);
  }
  logs(containerId: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    return this.#byContainer(containerId).logs(containerId, options, signal);
  }
  exec(containerId: string, options: Parameters<ContainerRuntime['exec']>[1]): Promise<Session> {
    return this.#byContainer(containerId).exec(containerId, options);
  }
  attach(containerId: string, options: Parameters<ContainerRuntime['attach']>[1]): Promise<Session> {
    return this.#byContainer(containerId).attach(containerId, options);
  }
  dial(podUid: string, port: number, signal?: AbortSignal): Promise<Session> {
    return this.of(podUid).dial(podUid, port, signal);
  }
  async stats(): Promise<ContainerStats[]> {
    const others = await Promise.all(this.#others().map((one) => one.stats().catch(() => [])));
    return [...(await this.options.own.stats()), ...others.flat()];
  }
  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.options.own[Symbol.asyncDispose]();
  }

  async observe(podUid?: string): Promise<Observation> {
    if (podUid !== undefined) return this.of(podUid).observe(podUid);
    const own = await this.options.own.observe();
    await Promise.all(
      this.#others().map(async (one) => {
        const seen = await one.observe().catch(() => undefined);
        if (seen) this.#seen.set(one.name, seen);
      }),
    );
    const taken = new Set([...own.sandboxes, ...own.containers].map((one) => one.podUid));
    const all = [own];
    for (const [handler, seen] of this.#seen) {
      // A runtime sees pods of its own, and such as nobody else has: of gone ones.
      const isIts = ({ podUid }: { readonly podUid: string }): boolean => {
        if (taken.has(podUid) || this.#ours.has(podUid)) return false;
        if (!this.isForeign(podUid)) this.#handlerOf.set(podUid, handler);
        return this.of(podUid).name === handler;
      };
      all.push({ sandboxes: seen.sandboxes.filter(isIts), containers: seen.containers.filter(isIts) });
    }
    return { sandboxes: all.flatMap((one) => one.sandboxes), containers: all.flatMap((one) => one.containers) };
  }
  #others(): ContainerRuntime[] {
    const { handlers } = this.options;
    const all = handlers.names().map((name) => handlers.get(name));
    return all.filter((one) => one !== undefined);
  }

  /** Ends with the own runtime's; those of others come and go meanwhile. */
  async *changes(signal: AbortSignal): AsyncGenerator<{ podUid: string }> {
    const { own, handlers } = this.options;
    const over = new AbortController();
    const both = AbortSignal.any([signal, over.signal]);
    const hints: { podUid: string }[] = [];
    let came = Promise.withResolvers<void>();
    const put = (hint: { podUid: string }) => {
      hints.push(hint);
      came.resolve();
    };
    const followed = new Set<string>();
    const look = () => {
      for (const name of handlers.names()) {
        if (followed.has(name)) continue;
        followed.add(name);
        void this.#follow(name, both, put).finally(() => followed.delete(name));
      }
      for (const podUid of this.#handlerOf.keys()) put({ podUid }); // one may be back
    };
    using _changes = handlers.onChange(look);
    look();
    let failure: unknown;
    let ended = false;
    const main = (async () => {
      for await (const hint of own.changes(both)) put(hint);
    })()
      .catch((error: unknown) => (failure = error))
      .finally(() => {
        ended = true;
        came.resolve();
      });
    try {
      while (!ended || hints.length > 0) {
        if (hints.length === 0) await came.promise;
        came = Promise.withResolvers();
        if (ended) came.resolve();
        yield* hints.splice(0);
      }
      if (failure !== undefined) throw failure;
    } finally {
      over.abort();
      await main;
    }
  }
  async #follow(name: string, signal: AbortSignal, put: (hint: { podUid: string }) => void): Promise<void> {
    const { handlers, clock } = this.options;
    for (;;) {
      const runtime = handlers.get(name);
      if (signal.aborted || !runtime) return;
      try {
        for await (const hint of runtime.changes(signal)) put(hint);
      } catch {} // it is away: asked again
      await clock.sleep(followRetryMs, signal);
    }
  }
}

const gone = new Set<PropertyKey>(['endSandbox', 'removeSandbox', 'remove']);

/** Every verb fails with the reason; but of a pod of which nothing can run there is nothing to be seen or removed. */
function absent(name: string, why: string, mayRun = true): ContainerRuntime {
  const fail = () => Promise.reject(new Error(why));
  // biome-ignore lint/correctness/useYield: it fails before it has anything to give
  const failing = async function* (): AsyncGenerator<never> {
    throw new Error(why);
  };
  return new Proxy({} as ContainerRuntime, {
    get(_target, verb) {
      if (verb === 'name') return name;
      if (!mayRun && verb === 'observe') return async () => ({ sandboxes: [], containers: [] });
      if (!mayRun && gone.has(verb)) return async () => {};
      if (verb === 'answers' || verb === 'leavesOut') return undefined;
      return verb === 'logs' || verb === 'changes' ? failing : fail;
    },
  });
}
