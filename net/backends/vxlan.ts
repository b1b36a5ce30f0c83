import type { Exec } from '#base';
import type { Lease, LocalHost, NetworkBackend, Prepared, SyncOptions, SyncReport } from '../backend.ts';
import { readDevice, removeDevice, settleDevice } from '../link/device.ts';
import { linkLocalOfMac } from '../link/names.ts';
import { type Neighbour, NeighbourTable } from '../link/neighbours.ts';
import { RouteTable, type WantedRoute } from '../link/routes.ts';
import { ChangeBook } from './changes.ts';
import { LeaseReader } from './lease-reader.ts';
import { addressesOf, directPeers, hostAddresses, type Peer, sameFamily, servedPeers } from './leases.ts';
import { deviceName, overlayMac, routeMetric, vxlanNetwork, vxlanPort } from './names.ts';
import { applyPeerRoutes, type PeerRoutes } from './peer-routes.ts';

export interface VxlanBackendOptions {
  readonly clusterId: string;
  /** This host's name. */
  readonly node: string;
  /** Runs in the host's network namespace. */
  readonly exec: Exec;
  /** UDP; default: from the cluster's id. */
  readonly port?: number;
}

/** Pods' packets in UDP, not encrypted, over any network that carries UDP between the hosts. */
export function createVxlanBackend(options: VxlanBackendOptions): NetworkBackend {
  return new VxlanBackend(options);
}

const overheadBytes = 50; // 20 IPv4 + 8 UDP + 8 VXLAN + 14 Ethernet
const ipv6ExtraBytes = 20; // an IPv6 header has 40

interface VxlanData {
  readonly mac: string;
  readonly linkLocal: string;
}

class VxlanBackend implements NetworkBackend {
  readonly name = 'vxlan';
  readonly overheadBytes = overheadBytes;
  readonly #exec: Exec;
  readonly #device: string;
  readonly #mac: string;
  readonly #network: number;
  readonly #port: number;
  readonly #routes: RouteTable;
  readonly #neighbours: NeighbourTable;
  readonly #changes = new ChangeBook();
  #local: LocalHost | undefined;
  #reader: LeaseReader<VxlanData> | undefined;
  /** How the last sync ended; empty when it failed. */
  #settled = '';

  constructor({ clusterId, node, exec, port }: VxlanBackendOptions) {
    this.#exec = exec;
    this.#device = deviceName('px', clusterId, node);
    this.#mac = overlayMac(clusterId, node);
    this.#network = vxlanNetwork(clusterId);
    this.#port = port ?? vxlanPort(clusterId);
    this.#routes = new RouteTable(exec, routeMetric('vxlan', clusterId));
    this.#neighbours = new NeighbourTable(exec, this.#device);
  }

  async prepare(local: LocalHost): Promise<Prepared> {
    this.#local = local;
    this.#reader = new LeaseReader(local, this.name, (lease) => this.#readData(lease));
    await this.#ensureDevice();
    return { endpoint: local.endpoint, data: this.#data(), podMtuBytes: podMtuBytes(local) };
  }

  async sync(leases: readonly Lease[], options: SyncOptions = {}): Promise<SyncReport> {
    this.#prepared();
    const mode = options.standby ? 'standby' : 'active';
    const { peers, rejected, isSame } = this.#reader!.read(leases);
    if (isSame && this.#settled === mode) await this.#lookAgain();
    this.#settled = '';
    const wanted = directPeers(peers).map(({ peer }) => neighbourOf(peer));
    const apply = () => this.#neighbours.apply(wanted);
    const beyond = await apply().catch(async () => {
      await this.#lookAgain(); // somebody took the device away: once more with a new one
      return apply();
    });
    for (const { lease, data } of peers) {
      const reason = beyond.refused.get(data.mac);
      if (reason) rejected.push({ node: lease.node, reason: `no way to ${lease.endpoint}: ${reason}` });
      else if (beyond.set.has(data.mac)) this.#changes.touch(lease.node, true);
    }
    const wantedRoutes = options.standby ? [] : this.#routesTo(servedPeers(peers, rejected));
    rejected.push(...(await applyPeerRoutes(this.#routes, this.#changes, wantedRoutes)));
    this.#settled = mode;
    return {
      ...this.#changes.next(servedPeers(peers, rejected).map(({ lease }) => lease.node)),
      rejected,
      data: this.#data(),
    };
  }

  async purge(): Promise<void> {
    await removeDevice(this.#exec, this.#device);
    this.#routes.forget();
    await this.#routes.apply([]);
    this.#neighbours.forget();
    this.#local = undefined;
  }
  async [Symbol.asyncDispose](): Promise<void> {} // the device and its entries stay in force

  #prepared(): LocalHost {
    if (!this.#local) throw new Error('the backend vxlan is synced before it was prepared');
    return this.#local;
  }
  #data(): Record<string, string> {
    return { mac: this.#mac, network: String(this.#network), port: String(this.#port) };
  }
  #readData({ data }: Lease): VxlanData | string {
    const mac = data['mac'] ?? '';
    if (!/^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/.test(mac))
      return `its hardware address ${JSON.stringify(mac)} is none of a tunnel`;
    if (mac === this.#mac) return 'its hardware address is that of this host';
    for (const [what, own] of Object.entries({ network: this.#network, port: this.#port }))
      if (data[what] !== String(own)) return `its VXLAN ${what} is ${data[what] ?? 'missing'}, this host's ${own}`;
    return { mac, linkLocal: linkLocalOfMac(mac) };
  }

  async #lookAgain(): Promise<void> {
    this.#routes.forget();
    this.#neighbours.forget();
    await this.#ensureDevice();
  }

  /** A device of another kind, network, port or address family cannot be changed: it is made anew. */
  async #ensureDevice(): Promise<void> {
    const local = this.#prepared();
    const { endpoint } = local;
    let present = await readDevice(this.#exec, this.#device);
    const facts = present?.linkinfo?.info_data;
    const own = facts?.[endpoint.includes(':') ? 'local6' : 'local'];
    if (present && (facts?.['id'] !== this.#network || facts['port'] !== this.#port || own === undefined)) {
      await removeDevice(this.#exec, this.#device);
      present = undefined;
    }
    const type = ['type', 'vxlan', 'id', String(this.#network), 'local', endpoint];
    if (!present) {
      await this.#must([
        'ip',
        'link',
        'add',
        this.#device,
        'address',
        this.#mac,
        ...type,
        'dstport',
        String(this.#port),
        'nolearning',
      ]);
      this.#routes.forget();
      this.#neighbours.forget();
      present = await readDevice(this.#exec, this.#device);
    } else if (own !== endpoint) await this.#must(['ip', 'link', 'set', 'dev', this.#device, ...type]);
    if (!present) throw new Error(`the device ${this.#device} is not there although it was made`);
    const wanted = {
      name: this.#device,
      mac: this.#mac,
      mtuBytes: podMtuBytes(local),
      addresses: hostAddresses(local.subnets),
    };
    if (await settleDevice(this.#exec, wanted, present)) this.#routes.forget();
  }

  #routesTo(peers: readonly Peer<VxlanData>[]): PeerRoutes[] {
    const sources = hostAddresses(this.#prepared().subnets);
    const byNode = new Map(peers.map((peer) => [peer.lease.node, peer]));
    return peers.map(({ lease, subnets }) => {
      const hops = hopsOf(byNode.get(lease.relayVia ?? lease.node)!);
      const routes = subnets.map((destination): WantedRoute => {
        const source = sameFamily(sources, destination);
        const via = sameFamily(hops, destination) ?? hops[0]!;
        return { destination, device: this.#device, via, onlink: true, ...(source ? { source } : {}) };
      });
      return { node: lease.node, routes };
    });
  }

  async #must(argv: readonly string[]): Promise<void> {
    const result = await this.#exec.run(argv);
    if (result.code !== 0) throw new Error(`${argv.join(' ')} failed: ${result.stderr.trim()}`);
  }
}

const neighbourOf = (peer: Peer<VxlanData>): Neighbour => ({
  mac: peer.data.mac,
  ips: hopsOf(peer),
  endpoint: peer.lease.endpoint,
});
/**
 * Next hops by family. For IPv6 it is link-local: the kernel refuses a global one, onlink or not, to which a route leads over
 * another device, as it does while a cluster moves from one backend to another.
 */
const hopsOf = ({ subnets, data }: Peer<VxlanData>): string[] => [
  ...addressesOf(subnets).filter((ip) => !ip.includes(':')),
  data.linkLocal,
];
const podMtuBytes = ({ underlayMtuBytes, endpoint }: LocalHost): number =>
  underlayMtuBytes - overheadBytes - (endpoint.includes(':') ? ipv6ExtraBytes : 0);
