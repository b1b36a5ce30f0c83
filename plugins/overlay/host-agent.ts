import { type Informer, messageOf, type NodePartContext, nodeKind, withNextStep } from '#sdk';
import type { Active } from './active.ts';
import { concernsPeers, concernsUs, followAddresses } from './changes.ts';
import { HostReport } from './host-report.ts';
import type { Failure } from './host-states.ts';
import {
  endpointAnnotation,
  type HostLease,
  hostLeaseKind,
  networkName,
  type OverlayNetwork,
  overlayNetworkKind,
} from './kinds.ts';
import { LeaseWriter, type Published } from './lease-writer.ts';
import { type Place, placeOf } from './place.ts';
import { type Duties, dutiesOf } from './plan-migration.ts';
import { factsOf, markOf, peerMtusBytes, planPeers } from './plan-peers.ts';
import { rotationDue } from './plan-rotation.ts';
import { PresharedKey } from './preshared-key.ts';
import { WayMtu } from './way-mtu.ts';

const lookEveryMs = 30_000; // what somebody took away from the machine is put back
const firstLookMs = 5_000; // while a peer is new and has not answered
const gatherMs = 50;
const pauseMs = 1_000; // between two looks: of many changes in a row the first is quick and the rest go together
const retryMs = { first: 500, most: 30_000 };

/**
 * Keeps this host's side of the overlay: looks at all leases, has its backends serve the whole set of its peers, and says
 * in its own lease how it is reached and how it is. What is in force stays when this process ends.
 */
export class HostAgent {
  readonly #leases: Informer<HostLease>;
  readonly #networks: Informer<OverlayNetwork>;
  readonly #nodes;
  readonly #writer: LeaseWriter;
  readonly #report: HostReport;
  readonly #key: PresharedKey;
  readonly #prepared = new Map<string, { readonly local: string; readonly prepared: Active['prepared'] }>();
  #ways: WayMtu | undefined;
  #place: Place | undefined;
  #podMtuBytes = 0;
  #isChanged = true;
  #failures = 0;
  #wake = () => {};

  constructor(private readonly context: NodePartContext) {
    const { informers } = context;
    this.#leases = informers.informer(hostLeaseKind);
    this.#networks = informers.informer(overlayNetworkKind);
    this.#nodes = informers.informer(nodeKind);
    this.#writer = new LeaseWriter(context);
    this.#key = new PresharedKey(context);
    this.#report = new HostReport(context, {
      leases: this.#leases,
      nodes: this.#nodes,
      writer: this.#writer,
      key: this.#key,
    });
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
    void followAddresses(this.context, changed);
    while (!signal.aborted) {
      this.#isChanged = false;
      const againMs = await this.#look();
      await clock.sleep(Math.min(againMs, pauseMs), signal);
      if (againMs > pauseMs) await this.#rest(againMs - pauseMs);
      if (this.#isChanged) await clock.sleep(gatherMs, signal);
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
      this.#report.say('the controllers have not given this host a lease yet');
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
        failures.push({ reason: 'BackendNotReady', message: `${name}: ${withNextStep(prepared)}` });
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
    await this.#report.tell({ settings, lease, duties, active: done, failures, links, keysChanged: this.#keysChanged });
    this.#keysChanged = false;
    if (failures.length > 0) throw new Error(failures.map(({ message }) => message).join('; '));
    const quietMs = this.#report.isWaiting ? firstLookMs : lookEveryMs;
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
}

const merged = (all: readonly Active[], newer: readonly Active[]): Active[] =>
  all.map((one) => newer.find(({ name }) => name === one.name) ?? one);
