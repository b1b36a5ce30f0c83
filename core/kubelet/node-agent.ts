import { isReason, leaseKind, type Node, nodeKind, type Taint } from '#api';
import { type Clock, type Log, messageOf, microTimeText } from '#base';
import type { Client } from '#client';
import type { ContainerRuntime, EventRecorder } from '#sdk';
import { type NodeFacts, nodeStatus, sameStatus } from './node-status.ts';

const leaseSecondsDefault = 40;
const renewalsPerLease = 4; // as upstream: three may be lost
const lookEveryMs = 10_000;
const heartbeatMs = 300_000; // an unchanged status is written this often; the lease says that we live
const retryMs = 1_000;
const registerRetryMinMs = 50; // the API server may be starting beside us

export interface NetworkState {
  /** Undefined: pods can have a network. */
  notReady(): string | undefined;
  onChange(handler: () => void): void;
}

/** Addresses of this node, the first for preference. */
export interface NodeAddresses {
  readonly now: () => readonly string[];
  onChange(handler: () => void): void;
}
export type GivenAddresses = string | readonly string[] | NodeAddresses;
export function addressesOf(given: GivenAddresses): NodeAddresses {
  if (typeof given === 'object' && 'now' in given) return given;
  const fixed = typeof given === 'string' ? [given] : given;
  return { now: () => fixed, onChange: () => {} };
}

export interface NodeAgentOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventRecorder;
  readonly runtime: ContainerRuntime;
  readonly signal: AbortSignal;
  readonly taints?: readonly Taint[];
  /** How long others may take us for alive without a sign; renewed four times in it. Default 40. */
  readonly leaseSeconds?: number;
  readonly networkState?: NetworkState;
  readonly addresses: NodeAddresses;
  readonly facts: Omit<NodeFacts, 'ips' | 'images' | 'notReady'>;
}

/** Keeps our Node object and its Lease. */
export class NodeAgent {
  node: Node | undefined;
  /** At each look, when the API has the node as ready. */
  onReady: () => void = () => {};
  #writtenMs = Number.NEGATIVE_INFINITY;
  #loops: Promise<void>[] = [];
  /** The state of the network changed: the status is written now. */
  #poke = Promise.withResolvers<void>();
  constructor(private readonly options: NodeAgentOptions) {}

  /** Registers the node and writes its first status and lease; tries until it succeeds or the signal aborts. */
  async register(): Promise<void> {
    const { clock, signal, log, events } = this.options;
    let waitMs = registerRetryMinMs;
    while (!signal.aborted) {
      try {
        await this.#status();
        await this.#lease();
        break;
      } catch (error) {
        log.warn('node not registered', { node: this.options.facts.name, error });
        await clock.sleep(waitMs, signal);
        waitMs = Math.min(waitMs * 2, retryMs);
      }
    }
    if (this.node) events.event(this.ref(), 'Normal', 'Starting', 'Starting kubelet.');
    const leaseEveryMs = (this.#leaseSeconds * 1000) / renewalsPerLease;
    const { networkState, addresses } = this.options;
    for (const each of [networkState, addresses]) each?.onChange(() => this.#poke.resolve());
    this.#loops = [
      this.#every(leaseEveryMs, () => this.#lease()),
      this.#every(
        lookEveryMs,
        () => this.#status(),
        () => this.#poke.promise,
      ),
    ];
    this.#poke.resolve(); // what changed while the node was registered
  }

  get isReady(): boolean {
    return readyOf(this.node?.status) === 'True';
  }
  async stopped(): Promise<void> {
    await Promise.all(this.#loops);
  }

  ref() {
    const name = this.options.facts.name;
    return { kind: 'Node', apiVersion: 'v1', metadata: { name, uid: this.node?.metadata.uid ?? name } };
  }

  get #leaseSeconds(): number {
    return this.options.leaseSeconds ?? leaseSecondsDefault;
  }

  async #every(periodMs: number, work: () => Promise<void>, early?: () => Promise<void>): Promise<void> {
    const { clock, signal, log } = this.options;
    let waitMs = periodMs;
    while (!signal.aborted) {
      await (early ? this.#sleepOr(waitMs, early()) : clock.sleep(waitMs, signal));
      if (signal.aborted) return;
      try {
        await work();
        waitMs = periodMs;
      } catch (error) {
        log.warn('node heartbeat failed', { error });
        waitMs = retryMs;
      }
    }
  }

  async #sleepOr(ms: number, early: Promise<void>): Promise<void> {
    const { clock, signal } = this.options;
    const stop = new AbortController();
    await Promise.race([clock.sleep(ms, AbortSignal.any([signal, stop.signal])), early]);
    stop.abort();
  }

  async #ensureNode(): Promise<Node> {
    const { client, facts, taints } = this.options;
    const name = facts.name;
    try {
      const node = await client.get(nodeKind, { name });
      const missing = Object.entries(facts.labels).filter(([key, value]) => node.metadata.labels?.[key] !== value);
      if (!missing.length) return node;
      const body = { metadata: { labels: Object.fromEntries(missing) } };
      return await client.patch(nodeKind, { name }, { type: 'strategic', body });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      const metadata = { name, labels: { ...facts.labels } };
      return client.create(nodeKind, {
        apiVersion: 'v1',
        kind: 'Node',
        metadata,
        spec: taints?.length ? { taints: [...taints] } : {},
      });
    }
  }

  async #status(): Promise<void> {
    const { client, clock, runtime, facts, addresses, events } = this.options;
    this.#poke = Promise.withResolvers(); // a change from here on is looked at anew
    const network = this.options.networkState?.notReady();
    let notReady = network && networkNotReady(network);
    const images = await runtime.images().catch((error) => {
      notReady = `container runtime is down: ${messageOf(error)}`;
      return [];
    });
    // The API's own state, not our memory of it: the node controller writes there as well when it has not heard of us.
    this.node = await this.#ensureNode();
    const previous = this.node.status;
    const status = nodeStatus({ ...facts, ips: addresses.now(), images, notReady }, previous, clock.now());
    if (sameStatus(previous, status) && clock.monotonicMs() - this.#writtenMs < heartbeatMs) return this.#told();
    // Merged by type, of two addresses of one type the second would be the only one: as upstream's kubelet, all are replaced.
    const body = { status: { ...status, addresses: [...(status.addresses ?? []), { $patch: 'replace' }] } };
    this.node = await client.patch(
      nodeKind,
      { name: facts.name },
      { type: 'strategic', body },
      { subresource: 'status' },
    );
    this.#writtenMs = clock.monotonicMs();
    if (readyOf(previous) !== readyOf(status)) {
      const reason = readyOf(status) === 'True' ? 'NodeReady' : 'NodeNotReady';
      events.event(this.ref(), 'Normal', reason, `Node ${facts.name} status is now: ${reason}`);
    }
    this.#told();
  }
  #told(): void {
    if (this.isReady) this.onReady();
  }

  async #lease(): Promise<void> {
    const { client, clock, facts } = this.options;
    const key = { namespace: 'kube-node-lease', name: facts.name };
    const renewTime = microTimeText(clock.now());
    try {
      await client.patch(leaseKind, key, {
        type: 'merge',
        body: { spec: { renewTime, holderIdentity: facts.name, leaseDurationSeconds: this.#leaseSeconds } },
      });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      const uid = this.node?.metadata.uid;
      const ownerReferences = uid ? [{ apiVersion: 'v1', kind: 'Node', name: facts.name, uid }] : undefined;
      await client.create(leaseKind, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { ...key, ownerReferences },
        spec: { renewTime, holderIdentity: facts.name, leaseDurationSeconds: this.#leaseSeconds },
      });
    }
  }
}

/** Worded as upstream's kubelet does, for those who look for it. */
const networkNotReady = (why: string): string =>
  `container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:${why}`;

const readyOf = (status: Node['status']) => status?.conditions?.find(({ type }) => type === 'Ready')?.status;
