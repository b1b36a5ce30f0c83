import type { Pod } from '#api';
import { messageOf } from '#base';
import type { HostPort } from '#net/pod';
import { ContainerError, type SandboxState } from '#sdk';
import { bandwidthOf } from './bandwidth.ts';
import { containerSpecOf } from './container-spec.ts';
import { ConfigError, envReferences } from './env.ts';
import { runHandler } from './handlers.ts';
import { hostnameOf } from './hosts.ts';
import type { ImageResult } from './images.ts';
import { containersOf, fieldPathOf, type PodContainer, podText } from './names.ts';
import type { Action } from './plan.ts';
import type { PodTrace } from './pod-trace.ts';
import { clusterDnsOf } from './resolv.ts';
import { serviceEnv } from './service-env.ts';
import type { PodVolumes } from './volumes/volumes.ts';
import type { WorkerContext } from './worker-context.ts';

const configRetryMs = 5_000;
const hookTimeoutMs = 24 * 3_600_000;

export type StartResult =
  | { readonly ok: true; readonly id: string }
  /** Kept as the waiting state until `retryAtMs`. */
  | { readonly ok: false; readonly reason: string; readonly message: string; readonly retryAtMs: number }
  /** The postStart hook failed: the container must be stopped. */
  | { readonly ok: 'hookFailed'; readonly id: string; readonly message: string };

/** Makes a pod's sandbox and starts its containers. */
export class PodStarter {
  readonly #fetched = new Map<string, Promise<ImageResult>>();
  constructor(
    private readonly context: WorkerContext,
    private readonly volumes: PodVolumes,
    private readonly trace: PodTrace,
  ) {}

  facts(podIps: readonly string[]) {
    return { podIps, hostIps: this.context.nodeIps(), allocatable: this.context.allocatable };
  }

  /** The sandbox and its addresses. Throws what the engine or the network said. */
  async sandbox(pod: Readonly<Pod>, attempt: number): Promise<{ sandbox: SandboxState; ips: readonly string[] }> {
    const { runtime, nodeName, clusterDomain, gate } = this.context;
    const spec = pod.spec!;
    const ensure = () =>
      runtime.ensureSandbox({
        podUid: pod.metadata.uid!,
        podName: pod.metadata.name!,
        podNamespace: pod.metadata.namespace!,
        hostname: hostnameOf(pod, nodeName, clusterDomain).full,
        network: spec.hostNetwork ? 'host' : 'pod',
        hostPid: spec.hostPID,
        hostIpc: spec.hostIPC,
        sharePid: spec.shareProcessNamespace,
        sysctls: Object.fromEntries((spec.securityContext?.sysctls ?? []).map(({ name, value }) => [name, value])),
        attempt,
      });
    const sandbox = await this.trace.run('pod.sandbox', '', () => gate.run(ensure));
    return { sandbox, ips: await this.trace.run('pod.network', '', () => this.addresses(pod, sandbox)) };
  }

  async addresses(pod: Readonly<Pod>, sandbox: SandboxState): Promise<readonly string[]> {
    const { podNetwork, nodeIps } = this.context;
    if (pod.spec?.hostNetwork) return nodeIps();
    if (sandbox.ips) return sandbox.ips;
    if (!podNetwork || !sandbox.netnsPath) return nodeIps();
    const { uid, name, namespace } = pod.metadata;
    const wanted = { hostPorts: hostPortsOf(pod), bandwidth: bandwidthOf(pod) };
    return (await podNetwork.attach({ uid: uid!, netnsPath: sandbox.netnsPath, name, namespace, ...wanted })).ips;
  }

  /** Begins to fetch images while the sandbox is being made. */
  prefetch(pod: Readonly<Pod>, containers: readonly PodContainer[], signal: AbortSignal): void {
    for (const container of containers) {
      const name = container.spec.name;
      if (this.#fetched.has(name)) continue;
      const result = this.#image(pod, container, signal);
      result.catch(() => {}); // an abort; whoever waits for it sees it too
      this.#fetched.set(name, result);
    }
  }

  async start(
    pod: Readonly<Pod>,
    action: Extract<Action, { type: 'start' }>,
    place: { sandbox: SandboxState; ips: readonly string[]; volumePaths: ReadonlyMap<string, string> },
    signal: AbortSignal,
  ): Promise<StartResult> {
    const { runtime, events, clock, crashes, gate } = this.context;
    const { container, attempt, after } = action;
    const name = container.spec.name;
    const path = fieldPathOf(container);
    const fail = (reason: string, message: string, retryAtMs: number, shown = message): StartResult => {
      events.event(pod, 'Warning', 'Failed', `Error: ${shown}`, path);
      return { ok: false, reason, message, retryAtMs };
    };
    const fetched = this.#fetched.get(name) ?? this.#image(pod, container, signal);
    this.#fetched.delete(name);
    const image = await fetched;
    if (!image.ok) return fail(image.reason, image.message, image.retryAtMs, image.reason);
    let id: string | undefined;
    try {
      const spec = await this.#spec(pod, container, attempt, image, place);
      signal.throwIfAborted();
      if (after) crashes.next(crashKey(pod, name), after.finishedAtMs ?? clock.now());
      for (const what of runtime.leavesOut?.(spec) ?? [])
        events.event(pod, 'Warning', 'UnsupportedField', `The container runs without ${what}`, path);
      const facts = { 'k8s.container.name': name };
      id = await this.trace.run('container.create', name, () => gate.run(() => runtime.create(spec)), facts);
      events.event(pod, 'Normal', 'Created', 'Container created', path);
      const created = id;
      await this.trace.run('container.start', name, () => gate.run(() => runtime.start(created)), facts);
      events.event(pod, 'Normal', 'Started', 'Container started', path);
    } catch (error) {
      if (signal.aborted) throw error;
      const reason = error instanceof ContainerError ? error.reason : id ? 'RunContainerError' : 'CreateContainerError';
      if (id) await runtime.remove(id).catch(() => {});
      const key = crashKey(pod, name);
      const now = clock.now();
      if (reason !== 'CreateContainerConfigError') crashes.next(key, now);
      const retryAtMs = reason === 'CreateContainerConfigError' ? now + configRetryMs : crashes.untilMs(key, now);
      return fail(reason, messageOf(error), retryAtMs);
    }
    const failure = await this.#postStart(pod, container, id, place.ips[0] ?? '', signal);
    return failure === undefined ? { ok: true, id } : { ok: 'hookFailed', id, message: failure };
  }

  #image(pod: Readonly<Pod>, container: PodContainer, signal: AbortSignal): Promise<ImageResult> {
    const { images, events } = this.context;
    const path = fieldPathOf(container);
    const emit = (type: 'Normal' | 'Warning', reason: string, message: string) =>
      events.event(pod, type, reason, message, path);
    const { name, image = '' } = container.spec;
    const facts = { 'k8s.container.name': name, 'container.image.name': image };
    const ensure = () => images.ensure(pod.metadata.uid!, container.spec, emit, signal);
    return this.trace.run('image.ensure', name, ensure, facts, (result) => (result.ok ? undefined : result.message));
  }

  async #spec(
    pod: Readonly<Pod>,
    container: PodContainer,
    attempt: number,
    image: Extract<ImageResult, { ok: true }>,
    place: { sandbox: SandboxState; ips: readonly string[]; volumePaths: ReadonlyMap<string, string> },
  ) {
    const { configMaps, secrets, services, nodeName, clusterDomain, clusterDns, memoryCapacityBytes } = this.context;
    const { uid, namespace = '' } = pod.metadata;
    const refers = envReferences(container.spec);
    try {
      await Promise.all([
        services.synced,
        ...refers.configMaps.map((name) => configMaps.use(uid!, namespace, name)),
        ...refers.secrets.map((name) => secrets.use(uid!, namespace, name)),
      ]);
    } catch (error) {
      throw new ContainerError('CreateContainerConfigError', new ConfigError(messageOf(error)).message);
    }
    return containerSpecOf({
      pod,
      container,
      attempt,
      image: image.image,
      sandbox: place.sandbox,
      env: {
        services: serviceEnv(services.cache.list(), namespace, pod.spec?.enableServiceLinks ?? true),
        facts: this.facts(place.ips),
        configMap: (name) => configMaps.get(namespace, name),
        secret: (name) => secrets.get(namespace, name),
      },
      volumePaths: place.volumePaths,
      podFolder: this.volumes.folder,
      nodeName,
      clusterDomain,
      clusterDns: clusterDns ?? clusterDnsOf(services.cache),
      warn: (reason, message) => this.context.events.event(pod, 'Warning', reason, message),
      memoryCapacityBytes,
      files: this.context.volumes.files,
    });
  }

  /** Undefined: there is none, or it went well. Else what it said; events never show that, it may hold secrets. */
  async #postStart(
    pod: Readonly<Pod>,
    container: PodContainer,
    id: string,
    podIp: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const hook = container.spec.lifecycle?.postStart;
    if (!hook) return undefined;
    const { runtime, clock, events, agent } = this.context;
    const result = await runHandler(hook, {
      containerId: id,
      container: container.spec,
      podIp,
      runtime,
      clock,
      timeoutMs: hookTimeoutMs,
      signal,
      agent,
    });
    if (result.ok || signal.aborted) return undefined;
    events.event(pod, 'Warning', 'FailedPostStartHook', 'PostStartHook failed', fieldPathOf(container));
    return result.output;
  }
}

/** Ports of the node that lead into the pod. In the host's network they are the pod's own already. */
export const hostPortsOf = (pod: Readonly<Pod>): HostPort[] =>
  pod.spec?.hostNetwork
    ? []
    : containersOf(pod).flatMap(({ spec }) =>
        (spec.ports ?? []).flatMap(({ hostPort, containerPort, protocol = 'TCP', hostIP }) =>
          hostPort
            ? [
                {
                  hostPort,
                  podPort: containerPort,
                  protocol: protocol.toLowerCase() as HostPort['protocol'],
                  hostIp: hostIP || undefined,
                },
              ]
            : [],
        ),
      );

export const crashKey = (pod: Readonly<Pod>, container: string): string => `${pod.metadata.uid} ${container}`;
export const crashText = (pod: Readonly<Pod>, container: string, delayText: string): string =>
  `back-off ${delayText} restarting failed container=${container} pod=${podText(pod)}`;
