import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Exec, PintleError } from '#base';
import type { Lease, LocalHost, NetworkBackend, Prepared, SyncOptions, SyncReport } from '../backend.ts';
import { listJson, mustBatch } from '../link/batch.ts';
import { isInRange } from '../link/prefix.ts';
import { RouteTable, type WantedRoute } from '../link/routes.ts';
import { ChangeBook } from './changes.ts';
import { LeaseReader } from './lease-reader.ts';
import { hostAddresses, isIp, type Peer, sameFamily, servedPeers } from './leases.ts';
import { routeMetric } from './names.ts';
import { applyPeerRoutes, type PeerRoutes } from './peer-routes.ts';
import { readPrivate, writePrivate } from './private-file.ts';

export interface HostGatewayBackendOptions {
  readonly clusterId: string;
  /** Remembers what was changed on the host, so that purge can undo it. */
  readonly stateFolder: string;
  /** Runs in the host's network namespace. */
  readonly exec: Exec;
}

/** Plain routes through the other hosts: nothing is added to a packet, and all hosts must be on one link. */
export function createHostGatewayBackend(options: HostGatewayBackendOptions): NetworkBackend {
  return new HostGatewayBackend(options);
}

interface GatewayData {
  /** For IPv6 subnets behind an IPv4 endpoint: an address of the same link. */
  readonly ipv6?: string;
}
interface AddressRow {
  readonly ifname: string;
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen: number; readonly scope: string }[];
}
/** What was changed on the host. */
interface Undo {
  readonly addresses: readonly string[];
  /** The device whose reverse-path filter was strict, and its value. */
  readonly filter?: { readonly device: string; readonly value: string };
}
interface Link {
  readonly device: string;
  readonly ipv6?: string;
  readonly prefixes: readonly string[];
}

class HostGatewayBackend implements NetworkBackend {
  readonly name = 'host-gw';
  readonly overheadBytes = 0;
  readonly #exec: Exec;
  readonly #undoPath: string;
  readonly #routes: RouteTable;
  readonly #changes = new ChangeBook();
  #local: LocalHost | undefined;
  #link: Link | undefined;
  #reader: LeaseReader<GatewayData> | undefined;
  /** How the last sync ended; empty when it failed. */
  #settled = '';

  constructor({ clusterId, stateFolder, exec }: HostGatewayBackendOptions) {
    this.#exec = exec;
    this.#undoPath = join(stateFolder, 'host-gw.json');
    this.#routes = new RouteTable(exec, routeMetric('host-gw', clusterId));
  }

  async prepare(local: LocalHost): Promise<Prepared> {
    this.#local = local;
    this.#link = undefined;
    await this.#lookAgain();
    return { endpoint: local.endpoint, data: this.#data(), podMtuBytes: local.underlayMtuBytes };
  }

  async sync(leases: readonly Lease[], options: SyncOptions = {}): Promise<SyncReport> {
    if (!this.#local) throw new Error('the backend host-gw is synced before it was prepared');
    const mode = options.standby ? 'standby' : 'active';
    let { peers, rejected, isSame } = this.#reader!.read(leases);
    if (isSame && this.#settled === mode && (await this.#lookAgain()))
      ({ peers, rejected } = this.#reader!.read(leases));
    this.#settled = '';
    const wanted = options.standby ? [] : this.#routesTo(servedPeers(peers, rejected));
    rejected.push(...(await applyPeerRoutes(this.#routes, this.#changes, wanted)));
    const served = servedPeers(peers, rejected).map(({ lease }) => lease.node);
    if (options.standby) for (const node of served) this.#changes.touch(node, true);
    this.#settled = mode;
    return { ...this.#changes.next(served), rejected, data: this.#data() };
  }

  async purge(): Promise<void> {
    this.#routes.forget();
    await this.#routes.apply([]);
    const { addresses, filter } = this.#readUndo();
    for (const address of addresses) await this.#exec.run(['ip', 'address', 'delete', address, 'dev', 'lo']);
    if (filter)
      await this.#exec.run(['sysctl', '-q', '-w', `net/ipv4/conf/${filter.device}/rp_filter=${filter.value}`]);
    rmSync(this.#undoPath, { force: true });
    this.#local = undefined;
  }
  async [Symbol.asyncDispose](): Promise<void> {} // routes stay in force

  #data(): Record<string, string> {
    const ipv6 = this.#link?.ipv6;
    return ipv6 ? { ipv6 } : {};
  }
  #readData({ endpoint, subnets, data, relayVia }: Lease): GatewayData | string {
    const { device, prefixes } = this.#link!;
    if (!relayVia && !prefixes.some((prefix) => isInRange(endpoint, prefix)))
      return `its address ${endpoint} is not on the link ${device} of this host: host-gw needs that (choose vxlan or wireguard)`;
    const ipv6 = data['ipv6'];
    if (ipv6 !== undefined && !(isIp(ipv6) && ipv6.includes(':')))
      return `its next hop ${JSON.stringify(ipv6)} is no IPv6 address`;
    const needsIpv6 = !relayVia && !endpoint.includes(':') && subnets.some((cidr) => cidr.includes(':'));
    if (needsIpv6 && !ipv6) return 'it has an IPv6 subnet and no IPv6 address on the link';
    return ipv6 ? { ipv6 } : {};
  }

  #routesTo(peers: readonly Peer<GatewayData>[]): PeerRoutes[] {
    const sources = hostAddresses(this.#local!.subnets);
    const byNode = new Map(peers.map((peer) => [peer.lease.node, peer]));
    return peers.map(({ lease, subnets }) => {
      const way = byNode.get(lease.relayVia ?? lease.node)!;
      const routes = subnets.map((destination): WantedRoute => {
        const isIpv6 = destination.includes(':');
        const via = isIpv6 && !way.lease.endpoint.includes(':') ? way.data.ipv6! : way.lease.endpoint;
        const source = sameFamily(sources, destination);
        return { destination, device: this.#link!.device, via, ...(source ? { source } : {}) };
      });
      return { node: lease.node, routes };
    });
  }

  /**
   * The link of the endpoint, and the host's own addresses: on the loopback, as no device is of this backend. True when the
   * link is another than before, so that leases mean something else.
   */
  async #lookAgain(): Promise<boolean> {
    const local = this.#local!;
    this.#routes.forget();
    const rows = await listJson<AddressRow>(this.#exec, ['ip', '-j', 'address', 'show']);
    const link = await this.#readLink(rows, local.endpoint);
    const isOther = !Bun.deepEquals(this.#link, link);
    if (isOther) this.#reader = new LeaseReader(local, this.name, (lease) => this.#readData(lease));
    this.#link = link;
    const addresses = hostAddresses(local.subnets).map((ip) => `${ip}/${ip.includes(':') ? 128 : 32}`);
    const held = (rows.find(({ ifname }) => ifname === 'lo')?.addr_info ?? []).map(
      (each) => `${each.local}/${each.prefixlen}`,
    );
    const missing = addresses.filter((address) => !held.includes(address));
    await this.#loosen(link.device, addresses);
    await mustBatch(
      this.#exec,
      'ip',
      missing.map((address) => `address replace ${address} dev lo`),
    );
    return isOther;
  }

  async #readLink(rows: readonly AddressRow[], endpoint: string): Promise<Link> {
    const row = rows.find(({ addr_info }) => addr_info?.some(({ local }) => local === endpoint));
    if (!row)
      throw new PintleError(
        'ENDPOINT_NOT_HERE',
        `no device of this host has the address ${endpoint}`,
        'give the host’s own address on the link to the others (--node-ip)',
      );
    const family = endpoint.includes(':') ? '-6' : '-4';
    const routes = await listJson<{ dst: string; gateway?: string }>(this.#exec, [
      'ip',
      '-j',
      family,
      'route',
      'show',
      'dev',
      row.ifname,
    ]);
    const prefixes = routes
      .filter(({ gateway, dst }) => gateway === undefined && dst !== 'default')
      .map(({ dst }) => dst);
    const ipv6 = row.addr_info?.find(({ local, scope }) => scope === 'link' && local?.includes(':'))?.local;
    return { device: row.ifname, prefixes, ...(ipv6 && !endpoint.includes(':') ? { ipv6 } : {}) };
  }

  /** A strict filter on the link would drop what comes here while the routes to it still lead through another backend's device. */
  async #loosen(device: string, addresses: readonly string[]): Promise<void> {
    const settings = ['all', device].map((name) => `net/ipv4/conf/${name}/rp_filter`);
    const shown = await this.#exec.run(['sysctl', '-n', ...settings]);
    const [all, own] = shown.stdout.trim().split('\n');
    const strict = shown.code === 0 && Math.max(Number(all), Number(own)) === 1;
    const before = this.#readUndo();
    const filter = strict ? { device, value: own! } : before.filter;
    this.#writeUndo({ addresses: [...new Set([...before.addresses, ...addresses])], ...(filter ? { filter } : {}) });
    const wanted = ['net.ipv4.ip_forward=1', ...(strict ? [`net/ipv4/conf/${device}/rp_filter=2`] : [])];
    if (addresses.some((address) => address.includes(':'))) wanted.push('net.ipv6.conf.all.forwarding=1');
    await this.#exec.run(['sysctl', '-q', '-w', ...wanted]);
  }
  #readUndo(): Undo {
    const text = readPrivate(this.#undoPath);
    return text === undefined ? { addresses: [] } : (JSON.parse(text) as Undo);
  }
  #writeUndo(undo: Undo): void {
    const text = JSON.stringify(undo);
    if (readPrivate(this.#undoPath) !== text) writePrivate(this.#undoPath, text);
  }
}
