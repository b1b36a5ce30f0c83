import { join } from 'node:path';
import {
  configMapKind,
  type NodeSystemInfo,
  type Pod,
  podKind,
  secretKind,
  serviceKind,
  type Taint,
  wholeOf,
} from '#api';
import { type Clock, type Exec, type Files, type Log, type Random, Scope, systemFiles, type Tracer } from '#base';
import type { Client, InformerFactory } from '#client';
import type { PodNetwork } from '#net/pod';
import type { ContainerRuntime, EventRecorder, Observation, PodVolumeDrivers, RuntimeHandlers } from '#sdk';
import { findContainer } from './access.ts';
import { Backoff } from './backoff.ts';
import { evictOverLimit } from './eviction.ts';
import { keepFenced } from './fencing.ts';
import { Images } from './images.ts';
import { readMachine } from './machine.ts';
import { NetworkKeeper } from './network-keeper.ts';
import { addressesOf, type GivenAddresses, type NetworkState, NodeAgent } from './node-agent.ts';
import { nodeLabels } from './node-status.ts';
import { statusOf } from './pod-memory.ts';
import { PodWorker } from './pod-worker.ts';
import { ReferencedObjects } from './referenced-objects.ts';
import { RoutedRuntime } from './routed-runtime.ts';
import { groupByPod, type SeenPod } from './seen-pods.ts';
import type { KubeletAccess } from './server/access.ts';
import { PodCertificates } from './volumes/pod-certificates.ts';
import { PodTokens } from './volumes/token.ts';
import { TrustBundles } from './volumes/trust-bundles.ts';
import { PodVolumes } from './volumes/volumes.ts';
import { Gate, type WorkerContext } from './worker-context.ts';

export interface KubeletOptions {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly events: EventRecorder;
  readonly nodeName: string;
  /** The node's address, or several with the primary one first. */
  readonly nodeIp: GivenAddresses;
  readonly runtime: ContainerRuntime;
  /** Of plugins, for pods with a RuntimeClass. Absent: such pods are refused. */
  readonly runtimeHandlers?: RuntimeHandlers;
  /** Absent: pods have the addresses that the runtime gave them, else the node's. */
  readonly podNetwork?: PodNetwork;
  /** Of plugins, for `csi` volumes. */
  readonly volumeDrivers?: PodVolumeDrivers;
  /** Why pods cannot have a network now, and a word when that changes. Absent: they can whenever the runtime can. */
  readonly networkState?: NetworkState;
  /** Holds `pods/UID`. */
  readonly stateFolder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly exec: Exec;
  /** Default: the machine's own. */
  readonly files?: Files;
  /** Default: the addresses of the service kube-system/kube-dns, by whomever it is served. Empty: pods use the node's servers. */
  readonly clusterDns?: readonly string[];
  readonly clusterDomain?: string;
  /** May mount and change owners; without it tmpfs and fsGroup are refused or left out. */
  readonly isRoot?: boolean;
  readonly taints?: readonly Taint[];
  /** Of the node's Lease, which is renewed four times in it; must not be longer than the controllers' grace. Default 40. */
  readonly leaseSeconds?: number;
  /** How long nobody has been heard of who could decide over this node (milliseconds). Absent: it cannot be cut off. */
  readonly silentMs?: () => number;
  /** Replaces what the machine has. */
  readonly capacity?: Readonly<Record<string, string>>;
  readonly allocatable?: Readonly<Record<string, string>>;
  readonly nodeInfo?: Partial<NodeSystemInfo>;
  /** Such as v1.37.1+pintle. */
  readonly version?: string;
  readonly tracer?: Tracer;
  /** Where this node's streaming endpoint listens. With `server` its answer is used. */
  readonly port?: number;
  /** Starts the streaming endpoint before the node is registered. */
  readonly server?: (
    access: KubeletAccess,
    runtime: ContainerRuntime,
  ) => Promise<AsyncDisposable & { readonly port?: number }> | (AsyncDisposable & { readonly port?: number });
  readonly podsMax?: number;
}
export interface Kubelet extends AsyncDisposable {
  readonly access: KubeletAccess;
  /** Resolves when the node has been registered and its first status written. */
  readonly registered: Promise<void>;
  /** Number of pods that this kubelet works for, those that are ending included. */
  podCount(): number;
}

const relistEveryMs = 5_000;
const changesRetryMs = 500;
const secondLookMs = 250;
const engineVerbsMax = 16;

/** Runs the pods that are bound to this node. Disposal leaves containers running: the next start adopts them. */
export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const scope = new Scope();
  try {
    return await new Loop(options, scope).start();
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}

class Loop implements Kubelet {
  readonly #workers = new Map<string, PodWorker>();
  /** What the engine held of each pod when it was looked at last. */
  #seen = new Map<string, SeenPod>();
  #context!: WorkerContext;
  #agent!: NodeAgent;
  #network!: NetworkKeeper;
  #relisting = false;
  #engineLost = false;
  registered: Promise<void> = Promise.resolve();
  readonly access: KubeletAccess;
  readonly #routed: RoutedRuntime | undefined;
  readonly #runtime: ContainerRuntime;

  constructor(
    private readonly options: KubeletOptions,
    private readonly scope: Scope,
  ) {
    const { runtime: own, runtimeHandlers: handlers } = options;
    this.#routed = handlers && new RoutedRuntime({ ...options, own, handlers });
    this.#runtime = this.#routed ?? own;
    const find = (namespace: string, name: string) =>
      [...this.#workers.values()].find(
        ({ pod }) => pod?.metadata.namespace === namespace && pod.metadata.name === name,
      );
    this.access = {
      nodeName: options.nodeName,
      findContainer: (namespace, name, container, previous) => {
        const worker = find(namespace, name);
        if (!worker?.pod) return { type: 'noPod' };
        return findContainer(worker.pod, worker.observed, (each) => statusOf(worker.status, each), container, previous);
      },
      findPod: (namespace, name) => {
        const worker = find(namespace, name);
        return worker && { uid: worker.uid, running: worker.observed.sandbox?.ready ?? false };
      },
      pods: () =>
        [...this.#workers.values()].flatMap(({ uid, pod, status, observed }) => {
          if (!pod) return [];
          const startedAtMs = status.startTime ? Date.parse(status.startTime) : undefined;
          const { namespace = '', name = '' } = pod.metadata;
          return [{ uid, namespace, name, startedAtMs, running: observed.sandbox?.ready ?? false }];
        }),
    };
  }

  podCount(): number {
    return this.#workers.size;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.scope[Symbol.asyncDispose]();
  }

  async start(): Promise<Kubelet> {
    const { options, scope } = this;
    await (options.files ?? systemFiles).mkdir(join(options.stateFolder, 'pods'), { recursive: true });
    const server = options.server ? scope.use(await options.server(this.access, this.#runtime)) : undefined;
    await this.#compose(server?.port ?? options.port ?? 0);
    this.registered = this.#agent.register();
    scope.defer(() => this.registered.then(() => this.#agent.stopped()));
    const { pods, services } = this.#context;
    scope.defer(() => Promise.all([...this.#workers.values()].map((worker) => worker.close())));
    const first = this.#runtime.observe();
    first.catch(() => {});
    scope.use(pods.onChange(({ type, object }) => this.#onPod(object, type === 'deleted')));
    void services.synced;
    void this.#begin(first);
    return this;
  }

  async #compose(port: number): Promise<void> {
    const { options, scope } = this;
    const { client, informers, clock, random, tracer, log, nodeName } = options;
    const runtime = this.#runtime;
    const addresses = addressesOf(options.nodeIp);
    const version = options.version ?? 'v1.37.1+pintle';
    const runtimeVersion = `${runtime.name}://${await runtime.version().catch(() => 'unknown')}`;
    const machine = await readMachine({
      folder: options.stateFolder,
      runtimeVersion,
      kubeletVersion: version,
      podsMax: options.podsMax,
      files: options.files,
    });
    const capacity = options.capacity ?? machine.capacity;
    const allocatable = options.allocatable ?? capacity;
    const onChange = (uids: readonly string[]) => uids.forEach((uid) => this.#workers.get(uid)?.refreshVolumes());
    const common = { client, clock, log, onChange };
    const configMaps = scope.use(new ReferencedObjects({ ...common, kind: configMapKind }));
    const secrets = scope.use(new ReferencedObjects({ ...common, kind: secretKind }));
    const podsFolder = join(options.stateFolder, 'pods');
    this.#context = {
      client,
      pods: informers.informer(podKind, { fieldSelector: `spec.nodeName=${nodeName}` }),
      services: informers.informer(serviceKind),
      configMaps,
      secrets,
      events: options.events,
      runtime,
      runtimeClasses: this.#routed !== undefined,
      podNetwork: options.podNetwork,
      images: new Images((uid) => this.#routed?.of(uid) ?? runtime, clock),
      crashes: new Backoff(),
      volumes: {
        configMaps,
        secrets,
        tokens: new PodTokens(client, clock),
        trustBundles: new TrustBundles(informers, clock, onChange),
        certificates: new PodCertificates(client, clock, nodeName),
        clock,
        exec: options.exec,
        files: options.files ?? systemFiles,
        podsFolder,
        isRoot: options.isRoot ?? false,
        drivers: options.volumeDrivers,
      },
      gate: new Gate(engineVerbsMax),
      nodeName,
      nodeIps: addresses.now,
      allocatable,
      memoryCapacityBytes: wholeOf(capacity.memory) || machine.memoryBytes,
      seLinux: machine.seLinux,
      clusterDomain: options.clusterDomain ?? 'cluster.local',
      clusterDns: options.clusterDns,
      agent: `kube-probe/${/^v?(\d+\.\d+)/.exec(version)?.[1] ?? '1.37'}`,
      ...{ clock, random, tracer },
      log,
      signal: scope.signal,
      onGone: (uid) => this.#onGone(uid),
    };
    const info = { ...machine.info, ...options.nodeInfo };
    const labels = nodeLabels(nodeName, machine.arch);
    const facts = { name: nodeName, labels, capacity, allocatable, info, port };
    const { events, taints, leaseSeconds, networkState } = options;
    const shared = { client, clock, log, events, runtime, signal: scope.signal };
    this.#agent = new NodeAgent({ ...shared, taints, leaseSeconds, networkState, addresses, facts });
    this.#agent.onReady = () => this.#workers.forEach((worker) => worker.reassert());
    addresses.onChange(() => this.#workers.forEach((worker) => worker.wake()));
  }

  /** Once both the engine and the API have been read: adopt, start, and end what nobody wants any more. */
  async #begin(first: Promise<Observation>): Promise<void> {
    const { clock, log } = this.options;
    const runtime = this.#runtime;
    const { pods, podNetwork, signal } = this.#context;
    let observation: Observation | undefined;
    while (!observation && !signal.aborted)
      observation = await (observation === undefined ? first : runtime.observe()).catch(async (error) => {
        log.warn('container runtime not readable', { error });
        first = runtime.observe();
        first.catch(() => {});
        await clock.sleep(changesRetryMs, signal);
        return undefined;
      });
    this.#network = new NetworkKeeper({ network: podNetwork, clock, log, signal });
    await this.#network.mend();
    const attached = new Map((await podNetwork?.attached().catch(() => []))?.map(({ uid, ips }) => [uid, ips]));
    await pods.synced;
    if (signal.aborted || !observation) return;
    observation = (await this.#routed?.sorted(pods.cache.list())) ?? observation;
    this.#seen = groupByPod(observation);
    this.#isReady = true;
    for (const pod of pods.cache.list()) this.#ensure(pod, attached.get(pod.metadata.uid ?? ''));
    await this.#removeOrphans(attached);
    void this.#follow();
    void this.#relist();
    void this.#network.keep();
    const { exec, silentMs, leaseSeconds = 40 } = this.options;
    const workers = () => [...this.#workers.values()];
    if (silentMs) void keepFenced({ pods: workers, silentMs, graceMs: leaseSeconds * 1000, clock, log, signal });
    void evictOverLimit({ pods: workers, exec, clock, log, signal });
  }
  #isReady = false;

  #contextOf(uid: string): WorkerContext {
    return this.#routed ? { ...this.#context, runtime: this.#routed.forPod(uid) } : this.#context;
  }

  #onPod(pod: Readonly<Pod>, deleted: boolean): void {
    if (!this.#isReady) return; // #begin takes all of them at once
    const worker = this.#workers.get(pod.metadata.uid!);
    if (worker) worker.update(deleted ? undefined : pod);
    else if (!deleted) this.#ensure(pod, undefined);
  }

  #ensure(pod: Readonly<Pod>, ips: readonly string[] | undefined): void {
    const uid = pod.metadata.uid!;
    if (this.#workers.has(uid)) return;
    this.#routed?.note(pod);
    const worker = new PodWorker(uid, pod, this.#contextOf(uid), this.#seen.get(uid)?.observed);
    if (ips) worker.podIps = ips;
    this.#workers.set(uid, worker);
    // Of one that somebody began with it has to be known what runs; a new one says by an event what it waits for.
    worker.wake(this.#routed?.isForeign(uid) && pod.status?.startTime !== undefined);
  }

  /** Pods of this cluster that the engine, the network or the disk still has and the API does not: gone while we were away. */
  async #removeOrphans(attached: ReadonlyMap<string, readonly string[]>): Promise<void> {
    const { volumes, podNetwork, log } = this.#context;
    const folders = await volumes.files.readdir(volumes.podsFolder).catch(() => []);
    for (const uid of this.#seen.keys()) {
      if (this.#workers.has(uid)) continue;
      const worker = new PodWorker(uid, undefined, this.#contextOf(uid), this.#seen.get(uid)?.observed);
      this.#workers.set(uid, worker);
      worker.wake();
    }
    for (const uid of new Set([...folders, ...attached.keys()])) {
      if (this.#workers.has(uid)) continue;
      await podNetwork
        ?.detach({ uid })
        .catch((error) => log.warn('address of a gone pod not released', { uid, error }));
      await new PodVolumes(volumes, uid)
        .remove()
        .catch((error) => log.warn('volumes of a gone pod not removed', { uid, error }));
    }
  }

  #onGone(uid: string): void {
    const { configMaps, secrets, images, crashes, volumes } = this.#context;
    void this.#workers.get(uid)?.close();
    this.#routed?.forget(uid);
    this.#workers.delete(uid);
    this.#seen.delete(uid);
    configMaps.release(uid);
    secrets.release(uid);
    volumes.trustBundles.release(uid);
    volumes.certificates.forget(uid);
    images.forget(uid);
    crashes.forget(uid);
    volumes.tokens.forget(uid);
  }

  async #follow(): Promise<void> {
    const { clock, log } = this.options;
    const { signal } = this.#context;
    while (!signal.aborted) {
      try {
        for await (const { podUid } of this.#runtime.changes(signal)) this.#onHint(podUid);
      } catch (error) {
        log.debug('runtime changes ended', { error });
      }
      this.#engineLost ||= !signal.aborted;
      await clock.sleep(changesRetryMs, signal);
      await this.#look();
    }
  }
  /** Docker 20.10 tells of an end before its own list shows it: looked at now, and once more a little later. */
  #onHint(uid: string): void {
    const { clock, signal } = this.#context;
    this.#workers.get(uid)?.wake(true);
    if (this.#hinted.has(uid)) return;
    this.#hinted.add(uid);
    void clock.sleep(secondLookMs, signal).then(() => {
      this.#hinted.delete(uid);
      if (!signal.aborted) this.#workers.get(uid)?.wake(true);
    });
  }
  readonly #hinted = new Set<string>();

  async #relist(): Promise<void> {
    const { signal, clock } = this.#context;
    while (!signal.aborted) {
      await clock.sleep(relistEveryMs, signal);
      await this.#look();
    }
  }

  /** Hints get lost: the whole truth now and then wakes the pods that differ. */
  async #look(): Promise<void> {
    if (this.#relisting || this.#context.signal.aborted) return;
    this.#relisting = true;
    try {
      const now = groupByPod(await this.#runtime.observe());
      for (const [uid, worker] of this.#workers) {
        const before = this.#seen.get(uid)?.mark;
        if (now.get(uid)?.mark !== before) worker.wake(true);
      }
      this.#seen = now;
      if (this.#engineLost) void this.#network.mend();
      this.#engineLost = false;
    } catch (error) {
      this.#engineLost = true;
      this.options.log.warn('container runtime not readable', { error });
    } finally {
      this.#relisting = false;
    }
  }
}
