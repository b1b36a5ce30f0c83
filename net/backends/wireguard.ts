import type { Clock, Exec } from '#base';
import type { Lease, LocalHost, NetworkBackend, PeerSight, Prepared, SyncOptions, SyncReport } from '../backend.ts';
import { RouteTable, type WantedRoute } from '../link/routes.ts';
import { WireguardDevice } from '../wireguard/device.ts';
import {
  followedGenerations,
  generationFor,
  nextRotation,
  type Published,
  type RotatingPeer,
  type Rotation,
  readPublished,
  writePublished,
} from '../wireguard/generations.ts';
import { presharedKey } from '../wireguard/keys.ts';
import type { WantedPeer } from '../wireguard/plan.ts';
import { type Implementation, probeWireguard } from '../wireguard/probe.ts';
import { ChangeBook } from './changes.ts';
import { LeaseReader } from './lease-reader.ts';
import { hostAddresses, sameFamily, servedPeers, withPort } from './leases.ts';
import { deviceName, routeMetric, wireguardPort } from './names.ts';
import { applyPeerRoutes, type PeerRoutes } from './peer-routes.ts';
import { type DirectPeer, reachablePeers } from './wireguard-peers.ts';
import { WireguardState } from './wireguard-state.ts';

export interface WireguardBackendOptions {
  readonly clusterId: string;
  /** This host's name. */
  readonly node: string;
  /** Holds the private keys; made with access for its owner alone. */
  readonly stateFolder: string;
  /** Runs in the host's network namespace. */
  readonly exec: Exec;
  readonly clock: Clock;
  /** This UDP port and the next one; default: from the cluster's id. */
  readonly basePort?: number;
  /** How often an idle tunnel is kept open; default 25, which routers with address translation ask for. */
  readonly keepaliveS?: number;
  /** Of the whole cluster; from it come the pre-shared keys of generations that begin from now on. */
  readonly secret?: () => string | undefined;
  /** Default: the machine is asked. */
  readonly implementation?: Implementation;
}

/** The encrypted overlay: one WireGuard device on each host, two while keys change. */
export function createWireguardBackend(options: WireguardBackendOptions): NetworkBackend {
  return new WireguardBackend(options);
}

const overheadBytes = 60; // 20 IPv4 + 8 UDP + 4 type + 4 receiver + 8 counter + 16 tag
const ipv6ExtraBytes = 20; // an IPv6 header has 40
// A packet is padded to a multiple of this, but not beyond its sender's own device: where that takes more than our way does, a
// pod's largest packet would come padded and not fit.
const paddingBytes = 16;
const ipv6MtuBytesMin = 1280; // the kernel takes IPv6 away from a device below; the tunnel's own packets may be fragmented instead

class WireguardBackend implements NetworkBackend {
  readonly name = 'wireguard';
  readonly overheadBytes = overheadBytes;
  readonly #options: WireguardBackendOptions;
  readonly #state: WireguardState;
  readonly #routes: RouteTable;
  readonly #devices: readonly [WireguardDevice, WireguardDevice];
  readonly #changes = new ChangeBook();
  readonly #basePort: number;
  #implementation: Implementation | undefined;
  #local: LocalHost | undefined;
  #reader: LeaseReader<Published> | undefined;
  /** How the last sync ended; empty when it failed. */
  #settled = '';
  #nodeOfKey: ReadonlyMap<string, string> = new Map();

  constructor(options: WireguardBackendOptions) {
    this.#options = options;
    this.#state = new WireguardState(options.stateFolder);
    this.#routes = new RouteTable(options.exec, routeMetric('wireguard', options.clusterId));
    this.#basePort = options.basePort ?? wireguardPort(options.clusterId);
    this.#implementation = options.implementation;
    const { exec, clock } = options;
    const device = (slot: number) =>
      new WireguardDevice({ name: `${deviceName('pw', options.clusterId, options.node)}${slot}`, exec, clock });
    this.#devices = [device(0), device(1)];
  }

  async prepare(local: LocalHost, known: readonly Lease[] = []): Promise<Prepared> {
    this.#local = local;
    this.#reader = new LeaseReader(local, this.name, (lease) => readPublished(lease.data));
    this.#implementation ??= await probeWireguard(this.#options.exec, `${this.#devices[0].name}p`);
    const others = known.filter((lease) => lease.node !== local.node && lease.backend === this.name);
    await this.#follow(others.map(({ data }) => readPublished(data)).filter((read) => typeof read !== 'string'));
    await this.#ensureDevices();
    for (const device of this.#devices) device.forget(); // who knows what happens until the first sync
    const { endpoint } = local;
    return { endpoint, data: this.#data(), podMtuBytes: podMtuBytes(local), chosen: this.#implementation.why };
  }

  async sync(leases: readonly Lease[], options: SyncOptions = {}): Promise<SyncReport> {
    this.#prepared();
    const mode = options.standby ? 'standby' : 'active';
    const { peers, rejected, isSame } = this.#reader!.read(leases);
    const followed = await this.#follow(peers.map(({ data }) => data));
    const isRepeated = isSame && this.#settled === mode;
    if (followed || isRepeated || this.#state.numbers.length > 1) await this.#lookAgain();
    this.#settled = '';
    const reachable = reachablePeers(peers, this.#state.ends(this.#basePort));
    rejected.push(...reachable.rejected);
    await this.#applyPeers(reachable.direct);
    const rotating = await this.#withHandshakes(reachable.direct);
    const { numbers: generations, sendsOn, quietSinceMs } = this.#state;
    const own = { generations, sendsOn, ...(quietSinceMs === undefined ? {} : { quietSinceMs }) };
    const rotation = nextRotation(own, rotating, this.#options.clock.now());
    const routes = options.standby ? [] : this.#routesTo(reachable.direct, rotating, rotation);
    rejected.push(...(await applyPeerRoutes(this.#routes, this.#changes, routes)));
    await this.#keepProgress(rotation);
    this.#settled = mode;
    return {
      ...this.#changes.next(servedPeers(peers, rejected).map(({ lease }) => lease.node)),
      rejected,
      data: this.#data(),
      waiting: rotation.waiting,
      ...(rotation.againAfterMs === undefined ? {} : { againAfterMs: rotation.againAfterMs }),
    };
  }

  async rotate(): Promise<Lease['data']> {
    const { numbers } = this.#state;
    if (numbers.length === 1) {
      this.#state.keep([...numbers, numbers[0]! + 1], this.#secret());
      await this.#ensureDevices();
    }
    return this.#data();
  }

  async sights(): Promise<readonly PeerSight[]> {
    const dumps = await Promise.all(this.#state.generations.map(({ slot }) => this.#devices[slot].dump()));
    const newest = new Map<string, PeerSight>();
    for (const peer of dumps.flatMap((dump) => dump.peers)) {
      const node = this.#nodeOfKey.get(peer.publicKey);
      if (node === undefined) continue;
      const before = newest.get(node);
      const lastHandshake = peer.lastHandshakeS * 1000;
      const receivedBytes = (before?.receivedBytes ?? 0) + peer.receivedBytes;
      const isNewer = lastHandshake > (before?.lastHandshake ?? -1);
      const seen = peer.endpoint && lastHandshake ? { seenEndpoint: peer.endpoint } : {};
      newest.set(
        node,
        isNewer || !before ? { node, lastHandshake, ...seen, receivedBytes } : { ...before, receivedBytes },
      );
    }
    return [...newest.values()];
  }

  async purge(): Promise<void> {
    for (const device of this.#devices) await device.remove();
    this.#routes.forget();
    await this.#routes.apply([]);
    this.#state.clear();
    this.#local = undefined;
  }
  async [Symbol.asyncDispose](): Promise<void> {} // devices, peers and routes stay in force

  #prepared(): LocalHost {
    if (!this.#local) throw new Error('the backend wireguard is synced before it was prepared');
    return this.#local;
  }
  #secret(): string {
    return this.#options.secret?.() ?? '';
  }
  #data(): Record<string, string> {
    return writePublished({ ends: this.#state.ends(this.#basePort), sendsOn: this.#state.sendsOn });
  }

  /** New generations of others become own ones. True when there was one. */
  async #follow(others: readonly Published[]): Promise<boolean> {
    const { numbers } = this.#state;
    const wanted = followedGenerations(
      numbers,
      others.map(({ ends }) => [...ends.keys()]),
    );
    if (wanted.join() === numbers.join()) return false;
    await this.#keep(wanted);
    return true;
  }
  async #keep(numbers: readonly number[]): Promise<void> {
    const gone = this.#state.keep(numbers, this.#secret());
    const used = new Set(this.#state.generations.map(({ slot }) => slot));
    for (const { slot } of gone) if (!used.has(slot)) await this.#devices[slot].remove();
  }

  /** What is remembered of the machine is dropped, and the devices are as they should be. */
  async #lookAgain(): Promise<void> {
    for (const device of this.#devices) device.forget();
    this.#routes.forget();
    await this.#ensureDevices();
  }
  async #ensureDevices(): Promise<void> {
    const local = this.#prepared();
    const wanted = { mtuBytes: podMtuBytes(local), addresses: hostAddresses(local.subnets) };
    for (const { slot, privateKey, publicKey } of this.#state.generations) {
      const identity = { privateKey, publicKey, port: this.#basePort + slot };
      const mended = await this.#devices[slot].ensure(this.#implementation!, wanted, identity);
      if (mended) this.#routes.forget(); // they went with the device
    }
  }

  async #applyPeers(direct: readonly DirectPeer[]): Promise<void> {
    const nodes = new Map<string, string>();
    for (const { number, slot, secret } of this.#state.generations) {
      const wanted = direct.flatMap((peer) => this.#wantedPeer(peer, number, secret));
      for (const { publicKey, node } of wanted) nodes.set(publicKey, node);
      const apply = () => this.#devices[slot].apply(wanted, this.#options.clock.now() / 1000);
      const plan = await apply().catch(async () => {
        await this.#lookAgain(); // somebody took the device away: once more with a new one
        return apply();
      });
      for (const { peer, isNew } of plan.set) this.#changes.touch(peer.node, isNew);
    }
    this.#nodeOfKey = nodes;
  }
  #wantedPeer(peer: DirectPeer, number: number, secret: string): WantedPeer[] {
    const end = peer.published.ends.get(number);
    if (!end) return [];
    const { node, keepaliveS } = this.#options;
    return [
      {
        node: peer.node,
        publicKey: end.publicKey,
        endpoint: withPort(peer.endpoint, end.port),
        allowedIps: peer.subnets,
        keepaliveS: keepaliveS ?? 25,
        ...(secret ? { presharedKey: presharedKey(secret, number, [node, peer.node]) } : {}),
      },
    ];
  }

  /** Looks only while there are two generations to choose between. */
  async #withHandshakes(direct: readonly DirectPeer[]): Promise<RotatingPeer[]> {
    const { generations } = this.#state;
    const seen = new Map<string, number>();
    if (generations.length > 1)
      for (const dump of await Promise.all(generations.map(({ slot }) => this.#devices[slot].dump())))
        for (const peer of dump.peers) seen.set(peer.publicKey, peer.lastHandshakeS);
    return direct.map(({ node, published }) => {
      const ends = [...published.ends];
      return {
        node,
        published,
        handshakesS: new Map(ends.map(([number, end]) => [number, seen.get(end.publicKey) ?? 0])),
      };
    });
  }

  #routesTo(direct: readonly DirectPeer[], rotating: readonly RotatingPeer[], { generations }: Rotation): PeerRoutes[] {
    const sources = hostAddresses(this.#prepared().subnets);
    const nowS = this.#options.clock.now() / 1000;
    return direct.map((peer, index) => {
      const number = generationFor(generations, rotating[index]!, nowS);
      const device = number === undefined ? undefined : this.#devices[this.#state.of(number).slot].name;
      const routes = (device ? peer.subnets : []).map((destination): WantedRoute => {
        const source = sameFamily(sources, destination);
        return { destination, device: device!, ...(source ? { source } : {}) };
      });
      return { node: peer.node, routes };
    });
  }

  async #keepProgress(rotation: Rotation): Promise<void> {
    if (rotation.retire !== undefined) await this.#keep(rotation.generations);
    this.#state.setProgress(rotation.sendsOn, rotation.quietSinceMs);
  }
}

function podMtuBytes({ underlayMtuBytes, endpoint, subnets }: LocalHost): number {
  const room = underlayMtuBytes - overheadBytes - (endpoint.includes(':') ? ipv6ExtraBytes : 0);
  const left = room - (room % paddingBytes);
  return subnets.some((cidr) => cidr.includes(':')) ? Math.max(ipv6MtuBytesMin, left) : left;
}
