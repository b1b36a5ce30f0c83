import {
  createEventRecorder,
  type EventRecorder,
  type HostAddress,
  type Informer,
  messageOf,
  type NodePartContext,
  type network,
  nodeKind,
  timeText,
} from '#sdk';
import { type Failure, hiddenState, readyState, rejectedState } from './host-states.ts';
import {
  endpointAnnotation,
  type HostLease,
  hostLeaseKind,
  type LeaseStatus,
  networkName,
  type OverlayNetwork,
  overlayNetworkKind,
} from './kinds.ts';
import { LeaseWriter, type Published } from './lease-writer.ts';
import { tellNode } from './node-condition.ts';
import { PeerHealth, seenElsewhere } from './peer-health.ts';
import { hiddenNetworks, type Place, placeOf } from './place.ts';
import { type Duties, dutiesOf } from './plan-migration.ts';
import { factsOf, markOf, peerMtusBytes, planPeers } from './plan-peers.ts';
import { type RotationState, requestOf, rotationDue } from './plan-rotation.ts';
import { PresharedKey } from './preshared-key.ts';
import { WayMtu } from './way-mtu.ts';

const addressesEveryMs = 2_000;
const lookEveryMs = 30_000; // what somebody took away from the machine is put back
const firstLookMs = 5_000; // while a peer is new and has not answered
const gatherMs = 50;
const pauseMs = 1_000; // between two looks: of many changes in a row the first is quick and the rest go together
const retryMs = { first: 500, most: 30_000 };

/** One backend on this host, as far as it is known to this process. */
interface Active {
  readonly name: string;
  readonly backend: network.NetworkBackend;
  readonly prepared: network.Prepared;
  readonly report?: network.SyncReport;
  /** That it was told of, and their mark. */
  readonly peers: readonly network.Lease[];
  readonly mark: string;
  readonly rejected: readonly { readonly node: string; readonly reason: string }[];
}

/**
 * Keeps this host's side of the overlay: looks at all leases, has its backends serve the whole set of its peers, and says
 * in its own lease how it is reached and how it is. What is in force stays when this process ends.
 */
export class HostAgent {
  readonly #leases: Informer<HostLease>;
  readonly #networks: Informer<OverlayNetwork>;
  readonly #nodes;
  readonly #writer: LeaseWriter;
  readonly #events: EventRecorder;
  readonly #health = new PeerHealth();
  readonly #key: PresharedKey;
  readonly #prepared = new Map<string, { readonly local: string; readonly prepared: network.Prepared }>();
  #ways: WayMtu | undefined;
  #place: Place | undefined;
  #podMtuBytes = 0;
  #isChanged = true;
  #failures = 0;
  #hasRemembered = false;
  #wake = () => {};

  constructor(private readonly context: NodePartContext) {
    const { informers, nodeName: host, scope } = context;
    this.#leases = informers.informer(hostLeaseKind);
    this.#networks = informers.informer(overlayNetworkKind);
    this.#nodes = informers.informer(nodeKind);
    this.#writer = new LeaseWriter(context);
    this.#events = scope.use(createEventRecorder({ ...context, component: 'overlay', host }));
    this.#key = new PresharedKey(context);
  }

  async run(): Promise<void> {
    const { clock, scope, backends, nodeName: host } = this.context;
    const { signal } = scope;
    const changed = () => {
      this.#isChanged = true;
      this.#wake();
    };
    using _leases = this.#leases.onChange((change) => {
      const isOwn = change.object.metadata.name === host;
      if (change.type !== 'updated' || (isOwn ? concernsUs : concernsPeers)(change.object, change.previous)) changed();
    });
    using _networks = this.#networks.onChange(changed);
    using _backends = backends.onChange(() => {
      this.#prepared.clear();
      changed();
    });
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([Promise.all([this.#leases.synced, this.#networks.synced, this.#nodes.synced]), aborted]);
    const measure = this.context.underlay?.measureWays;
    if (measure) {
      this.#ways = new WayMtu(this.context, measure, changed);
      void this.#ways.run();
    }
    void this.#followAddresses(changed);
    while (!signal.aborted) {
      this.#isChanged = false;
      const againMs = await this.#look();
      await clock.sleep(Math.min(againMs, pauseMs), signal);
      if (againMs > pauseMs) await this.#rest(againMs - pauseMs);
      if (this.#isChanged) await clock.sleep(gatherMs, signal);
    }
  }
  /** A host that moves is found again within seconds. Addresses of links alone come and go with every pod. */
  async #followAddresses(changed: () => void): Promise<void> {
    const { clock, network, scope } = this.context;
    const addresses = () =>
      network
        .ownAddresses()
        .filter((address) => !address.startsWith('fe80:'))
        .sort()
        .join();
    for (let former = addresses(); !scope.signal.aborted; await clock.sleep(addressesEveryMs, scope.signal)) {
      const now = addresses();
      if (now !== former) changed();
      former = now;
    }
  }
  /** Until something changes, or for so long. */
  async #rest(ms: number): Promise<void> {
    if (this.#isChanged) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await this.context.clock.sleep(ms, AbortSignal.any([this.context.scope.signal, woken.signal]));
    this.#wake = () => {};
  }

  /** Milliseconds until the next look; a failure backs off. */
  async #look(): Promise<number> {
    const { nodeName, log, scope } = this.context;
    const settings = this.#networks.cache.get({ name: networkName });
    const lease = this.#leases.cache.get({ name: nodeName });
    const duties = settings && dutiesOf(settings.status ?? {});
    if (!settings || !lease || !duties) {
      this.#say('the controllers have not given this host a lease yet');
      return lookEveryMs;
    }
    try {
      const againMs = await this.#serve(settings, lease, duties);
      this.#failures = 0;
      return againMs;
    } catch (error) {
      if (scope.signal.aborted) return 0;
      const delayMs = Math.min(retryMs.first * 2 ** this.#failures++, retryMs.most);
      log.warn('the overlay could not be brought up to date', { error: messageOf(error), retryInMs: delayMs });
      return delayMs;
    }
  }

  async #serve(settings: Readonly<OverlayNetwork>, lease: Readonly<HostLease>, duties: Duties): Promise<number> {
    const { context } = this;
    const links = (await context.underlay?.links()) ?? [];
    const { ranges } = settings.spec;
    const place = placeOf(context.underlay?.nodeIp ?? '', links, ranges, this.#place?.link);
    const direct = planPeers(lease, this.#leases.cache.list(), duties.send).filter(({ relayVia }) => !relayVia);
    const ways = direct.map(({ endpoint }) => endpoint);
    this.#place = { ...place, mtuBytes: this.#ways?.over(ways, place.mtuBytes) ?? place.mtuBytes };
    await this.#key.keep(settings.spec.presharedKeys === true);
    const failures: Failure[] = [];
    const active: Active[] = [];
    // The one that sends comes first: it has the routes before the other gives them up.
    for (const name of [duties.send, ...duties.receive]) {
      const prepared = await this.#prepare(name, lease).catch((error: unknown) => error as Error);
      if (prepared instanceof Error)
        failures.push({ reason: 'BackendNotReady', message: `${name}: ${messageOf(prepared)}` });
      else active.push(prepared);
    }
    await this.#rotateIfDue(settings, lease, active);
    await this.#publish(lease, duties, active);
    const done: Active[] = [];
    for (const one of active) {
      const synced = await this.#sync(one, lease, duties).catch((error: unknown) => error as Error);
      if (synced instanceof Error)
        failures.push({ reason: 'PeersNotApplied', message: `${one.name}: ${messageOf(synced)}` });
      else done.push(synced);
    }
    await this.#publish(this.#leases.cache.get({ name: context.nodeName }) ?? lease, duties, merged(active, done));
    await this.#purgeOthers(lease, duties);
    await this.#setMtu(active);
    await this.#report({ settings, lease, duties, active: done, failures, links });
    if (failures.length > 0) throw new Error(failures.map(({ message }) => message).join('; '));
    const quietMs = this.#health.isWaiting ? firstLookMs : lookEveryMs;
    return Math.min(quietMs, ...done.map(({ report }) => report?.againAfterMs ?? lookEveryMs));
  }

  async #prepare(name: string, lease: Readonly<HostLease>): Promise<Active> {
    const { backends, nodeName, underlay } = this.context;
    const backend = backends.get(name);
    if (!backend)
      throw new Error(`this host has no backend of that name; it has ${backends.names().join(', ') || 'none'}`);
    const { endpoint, mtuBytes } = this.#place!;
    if (!underlay || !endpoint) throw new Error('this host has no address that other hosts can reach');
    const local = { node: nodeName, subnets: lease.spec.subnets, endpoint, underlayMtuBytes: mtuBytes };
    const known = this.#prepared.get(name);
    if (known?.local === JSON.stringify(local))
      return { name, backend, prepared: known.prepared, peers: [], rejected: [], mark: '' };
    const others = planPeers(lease, this.#leases.cache.list(), name);
    const prepared = await backend.prepare(local, others);
    this.#prepared.set(name, { local: JSON.stringify(local), prepared });
    return { name, backend, prepared, peers: [], rejected: [], mark: '' };
  }

  async #sync(active: Active, lease: Readonly<HostLease>, duties: Duties): Promise<Active> {
    const { name, backend } = active;
    const peers = planPeers(lease, this.#leases.cache.list(), name);
    const report = await backend.sync(peers, { standby: name !== duties.send }).catch((error: unknown) => {
      this.#prepared.delete(name); // its device may be gone: from the beginning next time
      throw error;
    });
    const known = this.#prepared.get(name);
    // What is published before the next set is what was said last, or the peers would see keys come and go.
    if (known) this.#prepared.set(name, { ...known, prepared: { ...known.prepared, data: report.data } });
    return { ...active, report, peers, rejected: report.rejected, mark: String(markOf(peers)) };
  }

  async #publish(lease: Readonly<HostLease>, duties: Duties, active: readonly Active[]): Promise<void> {
    const sends = active.find(({ name }) => name === duties.send);
    if (!sends) return; // what was published before still holds
    const said = this.#nodes.cache.get({ name: this.context.nodeName })?.metadata.annotations?.[endpointAnnotation];
    const factsOfOne = ({ prepared, report }: Active) => ({
      endpoint: said || prepared.endpoint,
      data: report?.data ?? prepared.data,
      mtuBytes: prepared.podMtuBytes,
    });
    const offers = active
      .filter(({ name }) => name !== duties.send)
      .map((one) => ({ backend: one.name, ...factsOfOne(one) }));
    const published: Published = { backend: sends.name, ...factsOfOne(sends), offers };
    const before = factsOf(lease, sends.name)?.data;
    if (before && !Bun.deepEquals(before, published.data)) this.#keysChanged = true;
    await this.#writer.publish(lease, published);
  }
  #keysChanged = false;

  async #rotateIfDue(
    settings: Readonly<OverlayNetwork>,
    lease: Readonly<HostLease>,
    active: readonly Active[],
  ): Promise<void> {
    const { clock, nodeName, log } = this.context;
    const state = lease.status?.rotation;
    const share = (Bun.hash.crc32(nodeName) % 1_000) / 1_000;
    const due = rotationDue(settings, lease, state, clock.now(), share) ?? this.#key.isDue(this.#leases.cache.list());
    if (!due) return;
    for (const { backend } of active) {
      if (!backend.rotate) continue;
      await backend.rotate();
      this.#prepared.delete(backend.name);
      log.info('new keys for the overlay', { backend: backend.name, why: due });
    }
    this.#keysChanged = true;
    this.#key.used();
  }

  /** What an earlier duty left on this host. The lease says what there is, so a crash in between is made up for. */
  async #purgeOthers(lease: Readonly<HostLease>, { send, receive }: Duties): Promise<void> {
    const { backends, log } = this.context;
    const { backend, offers = [] } = lease.spec;
    const left = new Set([
      ...(lease.status?.applied ?? []).map((one) => one.backend),
      ...offers.map((one) => one.backend),
      ...this.#prepared.keys(),
    ]);
    for (const name of backend ? left.add(backend) : left) {
      if (name === send || receive.includes(name)) continue;
      await backends.get(name)?.purge();
      this.#prepared.delete(name);
      log.info('a network backend was removed from this host', { backend: name });
    }
  }

  /** Of all that are in force, here and at every peer: a larger packet would be lost on the way to the one that takes the least. */
  async #setMtu(active: readonly Active[]): Promise<void> {
    const { network, log } = this.context;
    const others = this.#leases.cache.list().filter(({ metadata }) => metadata.name !== this.context.nodeName);
    const mtuBytes = Math.min(
      ...active.flatMap(({ name, prepared }) => [prepared.podMtuBytes, ...peerMtusBytes(others, name)]),
    );
    if (!Number.isFinite(mtuBytes) || mtuBytes === this.#podMtuBytes) return;
    await network.setMtu(mtuBytes);
    this.#podMtuBytes = mtuBytes;
    log.info('the MTU of pods', { mtuBytes });
  }

  async #report(found: {
    readonly settings: Readonly<OverlayNetwork>;
    readonly lease: Readonly<HostLease>;
    readonly duties: Duties;
    readonly active: readonly Active[];
    readonly failures: readonly Failure[];
    readonly links: readonly HostAddress[];
  }): Promise<void> {
    const { context } = this;
    const { settings, lease, duties, active, failures, links } = found;
    const now = timeText(context.clock.now());
    this.#say(failures.map(({ message }) => message).join('; ') || undefined);
    const sends = active.find(({ name }) => name === duties.send);
    const health = sends ? await this.#judge(sends, lease) : lease.status; // what is not served now is not judged
    const rejected = uniqueByNode(active.flatMap((one) => one.rejected));
    const hidden = hiddenNetworks(links, settings.spec.ranges, lease.spec.subnets);
    this.#tellRejected(lease, rejected);
    if (hidden.join() && hidden.join() !== this.#toldHidden)
      this.#events.event(lease, 'Warning', 'HostNetworkHidden', hiddenState(hidden).message);
    this.#toldHidden = hidden.join();
    const rotation = this.#rotationState(settings, lease, active, now);
    const current = this.#leases.cache.get({ name: context.nodeName }) ?? lease;
    await this.#writer.report(
      current,
      {
        observedGeneration: current.metadata.generation ?? 0,
        ...(sends?.prepared.chosen ? { implementation: sends.prepared.chosen } : {}),
        applied: active.map(({ name, mark }) => ({ backend: name, peersMark: mark, sends: name === duties.send })),
        ...this.#key.status(),
        rotation,
        ...(health?.peers ? { peers: health.peers } : {}),
        ...(health?.seen ? { seen: health.seen } : {}),
        rejected,
        states: [readyState(duties, failures, sends?.prepared.chosen), rejectedState(rejected), hiddenState(hidden)],
      },
      now,
    );
    this.#keysChanged = false;
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

  #rotationState(
    settings: Readonly<OverlayNetwork>,
    lease: Readonly<HostLease>,
    active: readonly Active[],
    now: string,
  ): RotationState & { phase: 'Idle' | 'Announced' } {
    const former = lease.status?.rotation;
    const isUnderWay = active.some(({ report }) => report?.againAfterMs !== undefined);
    return {
      lastTime: !former?.lastTime || this.#keysChanged ? now : former.lastTime,
      request: requestOf(settings, lease),
      phase: isUnderWay ? 'Announced' : 'Idle',
    };
  }

  /** A host that is down is nobody's business here: that all others tell it would only be a storm. */
  #isHeardOf(name: string): boolean {
    const node = this.#nodes.cache.get({ name });
    const ready = node?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    return node !== undefined && ready !== 'Unknown';
  }
  /** A host whose overlay was never in force takes no pods; later failures leave what is in force as it is. */
  #say(failure: string | undefined): void {
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
    const node = this.#nodes.cache.get({ name: this.context.nodeName });
    if (!node) return;
    const message = `pods reach those of other hosts by ${sends.name}`;
    await tellNode(
      node,
      { status: 'False', reason: 'OverlayReady', message },
      { ...this.context, events: this.#events },
    );
  }
}

/** Counts and times in another host's status are none of ours; whom it cannot reach is, for relays. */
const concernsPeers = (now: Readonly<HostLease>, before: Readonly<HostLease>): boolean =>
  !Bun.deepEquals(now.spec, before.spec) ||
  !Bun.deepEquals(now.metadata.annotations, before.metadata.annotations) ||
  !Bun.deepEquals(now.status?.peers?.unreachable ?? [], before.status?.peers?.unreachable ?? []) ||
  now.status?.secretMark !== before.status?.secretMark;

/** What others say in our lease; the rest we have written ourselves. */
const concernsUs = (now: Readonly<HostLease>, before: Readonly<HostLease>): boolean =>
  now.spec.relayVia !== before.spec.relayVia ||
  !Bun.deepEquals(now.spec.subnets, before.spec.subnets) ||
  !Bun.deepEquals(now.metadata.annotations, before.metadata.annotations);

const merged = (all: readonly Active[], newer: readonly Active[]): Active[] =>
  all.map((one) => newer.find(({ name }) => name === one.name) ?? one);
const uniqueByNode = <T extends { readonly node: string }>(list: readonly T[]): T[] => [
  ...new Map(list.map((one) => [one.node, one])).values(),
];
