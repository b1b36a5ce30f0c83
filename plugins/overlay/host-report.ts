import {
  createEventRecorder,
  type EventRecorder,
  type HostAddress,
  type Informer,
  type KubeObject,
  type Node,
  type NodePartContext,
  timeText,
} from '#sdk';
import type { Active } from './active.ts';
import { type Failure, hiddenState, readyState, rejectedState } from './host-states.ts';
import type { HostLease, LeaseStatus, OverlayNetwork } from './kinds.ts';
import type { LeaseWriter } from './lease-writer.ts';
import { tellNode } from './node-condition.ts';
import { PeerHealth, seenElsewhere } from './peer-health.ts';
import { hiddenNetworks } from './place.ts';
import type { Duties } from './plan-migration.ts';
import { type RotationState, requestOf } from './plan-rotation.ts';
import type { PresharedKey } from './preshared-key.ts';

const refusedMax = 64;

/** What one look has found and done. */
interface Found {
  readonly settings: Readonly<OverlayNetwork>;
  readonly lease: Readonly<HostLease>;
  readonly duties: Duties;
  /** Those that know their peers now. */
  readonly active: readonly Active[];
  readonly failures: readonly Failure[];
  readonly links: readonly HostAddress[];
  readonly keysChanged: boolean;
}

/** Says how this host's overlay is: in its lease's status, by events, in its Node's condition, and to those who wait to run pods. */
export class HostReport {
  readonly #events: EventRecorder;
  readonly #health = new PeerHealth();
  #hasRemembered = false;
  constructor(
    private readonly context: NodePartContext,
    private readonly seams: {
      readonly leases: Informer<HostLease>;
      readonly nodes: Informer<Node & KubeObject>;
      readonly writer: LeaseWriter;
      readonly key: PresharedKey;
    },
  ) {
    const { scope, nodeName: host } = context;
    this.#events = scope.use(createEventRecorder({ ...context, component: 'overlay', host }));
  }
  /** A peer is new and has not answered yet. */
  get isWaiting(): boolean {
    return this.#health.isWaiting;
  }

  async tell(found: Found): Promise<void> {
    const { context } = this;
    const { settings, lease, duties, active, failures, links } = found;
    const now = timeText(context.clock.now());
    this.say(failures.map(({ message }) => message).join('; ') || undefined);
    const sends = active.find(({ name }) => name === duties.send);
    const health = sends ? await this.#judge(sends, lease) : lease.status; // what is not served now is not judged
    const rejected = uniqueByNode(active.flatMap((one) => one.rejected));
    const hidden = hiddenNetworks(links, settings.spec.ranges, lease.spec.subnets);
    this.#tellRejected(lease, rejected);
    if (hidden.join() && hidden.join() !== this.#toldHidden)
      this.#events.event(lease, 'Warning', 'HostNetworkHidden', hiddenState(hidden).message);
    this.#toldHidden = hidden.join();
    const rotation = rotationStateOf(found, now);
    const current = this.seams.leases.cache.get({ name: context.nodeName }) ?? lease;
    await this.seams.writer.report(
      current,
      {
        observedGeneration: current.metadata.generation ?? 0,
        ...(sends?.prepared.chosen ? { implementation: sends.prepared.chosen } : {}),
        applied: active.map((one) => appliedOf(one, sends)),
        ...this.seams.key.status(),
        rotation,
        ...(health?.peers ? { peers: health.peers } : {}),
        ...(health?.seen ? { seen: health.seen } : {}),
        rejected,
        states: [readyState(duties, failures, sends?.prepared.chosen), rejectedState(rejected), hiddenState(hidden)],
      },
      now,
    );
    if (sends) await this.#tellNode(sends);
  }

  async #judge({ backend, peers }: Active, lease: Readonly<HostLease>): Promise<Pick<LeaseStatus, 'peers' | 'seen'>> {
    const { clock } = this.context;
    const sights = await backend.sights?.().catch(() => undefined);
    if (!this.#hasRemembered) this.#health.remember(lease.status?.peers?.unreachable ?? []);
    this.#hasRemembered = true;
    const silent = this.#health.judge(peers, sights, { ms: clock.now(), monotonicMs: clock.monotonicMs() });
    const unreachable = silent.filter((name) => this.#isHeardOf(name)).slice(0, 64);
    return {
      peers: { wanted: peers.length, reachable: peers.length - unreachable.length, unreachable },
      ...(sights ? { seen: seenElsewhere(peers, sights) } : {}),
    };
  }
  /** A host that is down is nobody's business here: that all others tell it would only be a storm. */
  #isHeardOf(name: string): boolean {
    const node = this.seams.nodes.cache.get({ name });
    const ready = node?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    return node !== undefined && ready !== 'Unknown';
  }
  /** A host whose overlay was never in force takes no pods; later failures leave what is in force as it is. */
  say(failure: string | undefined): void {
    if (failure === undefined) this.#wasInForce = true;
    this.context.network.report(this.#wasInForce ? undefined : failure);
  }
  #wasInForce = false;
  #toldHidden = '';
  #told = '';
  #tellRejected(lease: Readonly<HostLease>, rejected: readonly { node: string; reason: string }[]): void {
    const text = rejected
      .slice(0, 5)
      .map(({ node, reason }) => `${node}: ${reason}`)
      .join('; ');
    if (text && text !== this.#told)
      this.#events.event(lease, 'Warning', 'PeersRejected', `${rejected.length} hosts cannot be served: ${text}`);
    this.#told = text;
  }
  /** Pods may come: until the first time the node is not open for them. */
  async #tellNode(sends: Active): Promise<void> {
    const node = this.seams.nodes.cache.get({ name: this.context.nodeName });
    if (!node) return;
    const message = `pods reach those of other hosts by ${sends.name}`;
    await tellNode(
      node,
      { status: 'False', reason: 'OverlayReady', message },
      { ...this.context, events: this.#events },
    );
  }
}

function rotationStateOf(
  { settings, lease, active, keysChanged }: Found,
  now: string,
): RotationState & { phase: 'Idle' | 'Announced' } {
  const former = lease.status?.rotation;
  const isUnderWay = active.some(({ report }) => report?.againAfterMs !== undefined);
  return {
    lastTime: !former?.lastTime || keysChanged ? now : former.lastTime,
    request: requestOf(settings, lease),
    phase: isUnderWay ? 'Announced' : 'Idle',
  };
}

/** As others are told. A peer that the sending backend cannot serve either is no reason against another one. */
function appliedOf(
  { name, mark, rejected }: Active,
  sends: Active | undefined,
): NonNullable<LeaseStatus['applied']>[number] {
  const lost = new Set(sends?.rejected.map(({ node }) => node));
  const refused = rejected.map(({ node }) => node).filter((node) => sends && !lost.has(node));
  return {
    ...{ backend: name, peersMark: mark, sends: name === sends?.name },
    ...(refused.length > 0 ? { refused: [...new Set(refused)].sort().slice(0, refusedMax) } : {}),
  };
}

const uniqueByNode = <T extends { readonly node: string }>(list: readonly T[]): T[] => [
  ...new Map(list.map((one) => [one.node, one])).values(),
];
