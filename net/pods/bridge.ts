import type { Exec } from '#base';
import { vethName } from '../link/names.ts';
import type { HostPort, PodAttachment, PodNetwork, PodToAttach } from '../pod.ts';
import { AddressBook, type AddressRecord, shapeOf } from './addresses.ts';
import {
  type BridgeShape,
  bridgeBatch,
  hostBatch,
  hostIpOf,
  hostPortCommands,
  hostSettings,
  nftTables,
  podBatch,
  shapingArguments,
} from './bridge-plan.ts';
import { acceptForwarding, dropForwardingRules } from './forwarding.ts';
import { familyOf } from './ranges.ts';

export interface BridgeNetworkOptions {
  /** At most 15 characters. */
  readonly bridge: string;
  /** Of this host's pods (CIDR): IPv4, IPv6 or one of both, the first is that of their primary address. The first address of each is the bridge's. */
  readonly subnets: readonly string[];
  /** Of the whole cluster. */
  readonly podRanges: readonly string[];
  readonly serviceRanges?: readonly string[];
  readonly stateFolder: string;
  /** Runs in the host's network namespace. */
  readonly exec: Exec;
  /** Default: the bridge's name. */
  readonly tableName?: string;
  /** Default 1500; smaller under an overlay, see setMtu(). */
  readonly mtuBytes?: number;
}

/** A bridge, a veth pair for each pod, addresses by files: two child processes for each pod that comes, one that goes. */
export function createBridgeNetwork(options: BridgeNetworkOptions): PodNetwork {
  return new BridgeNetwork(options);
}

/** The same port, and addresses of the host that meet. */
const clash = (a: HostPort, b: HostPort): boolean =>
  a.hostPort === b.hostPort &&
  a.protocol === b.protocol &&
  (hostIpOf(a) === undefined || hostIpOf(b) === undefined || hostIpOf(a) === hostIpOf(b)) &&
  (!a.hostIp || !b.hostIp || familyOf(a.hostIp) === familyOf(b.hostIp));

class BridgeNetwork implements PodNetwork {
  readonly name = 'bridge';
  readonly #exec: Exec;
  readonly #book: AddressBook;
  readonly #options: BridgeNetworkOptions;
  #shape: BridgeShape;
  #isSwept = false;

  constructor(options: BridgeNetworkOptions) {
    if (!/^[\w.-]{1,15}$/.test(options.bridge)) throw new Error(`${options.bridge} is no name for a bridge`);
    this.#options = options;
    this.#exec = options.exec;
    this.#book = new AddressBook(options.stateFolder, options.subnets);
    this.#shape = {
      bridge: options.bridge,
      ranges: this.#book.ranges.map(shapeOf),
      mtuBytes: options.mtuBytes ?? 1500,
      tableName: options.tableName ?? options.bridge.replaceAll(/\W/g, '_'),
      podRanges: options.podRanges,
      serviceRanges: options.serviceRanges ?? [],
    };
  }
  get #hasIpv6(): boolean {
    return this.#shape.ranges.some(({ family }) => family === 6);
  }

  async prepare(): Promise<void> {
    const { bridge, ranges, podRanges } = this.#shape;
    if ((await this.#exec.run(['ip', 'link', 'show', 'dev', bridge])).code !== 0)
      await this.#must(['ip', 'link', 'add', bridge, 'type', 'bridge']);
    if (this.#hasIpv6) await this.#keepRouterAdvertisements();
    await this.#must(['sysctl', '-q', '-w', ...hostSettings(this.#shape)]);
    await this.#must(['ip', '-batch', '-'], bridgeBatch(this.#shape));
    // Answers between two pods must pass the translation of services and the policies on their way back. Absent without br_netfilter.
    const shown = ['nf_call_iptables', '1', 'nf_call_ip6tables', '1'];
    await this.#exec.run(['ip', 'link', 'set', 'dev', bridge, 'type', 'bridge', ...shown]);
    const seesBridged = (await this.#exec.run(['sysctl', '-n', 'net.bridge.bridge-nf-call-iptables'])).code === 0;
    const text = () => nftTables(this.#shape, this.#book.all(), seesBridged);
    await this.#inTurn(() => this.#must(['nft', '-f', '-'], text()));
    if (!this.#isSwept) await this.#sweep();
    this.#isSwept = true;
    await acceptForwarding(this.#exec, bridge, [...new Set([...ranges.map(({ cidr }) => cidr), ...podRanges])]);
  }

  /** A host that forwards stops listening to its routers, unless it is told to go on (2). */
  async #keepRouterAdvertisements(): Promise<void> {
    const { stdout } = await this.#exec.run(['sysctl', '-a', '-r', String.raw`^net\.ipv6\.conf\..*\.accept_ra$`]);
    const listening = [...stdout.matchAll(/^net\.ipv6\.conf\.(\S+)\.accept_ra = 1$/gm)].map((match) => match[1]!);
    const settings = listening.map((name) => `net/ipv6/conf/${name.replaceAll('/', '.')}/accept_ra=2`);
    if (settings.length > 0) await this.#exec.run(['sysctl', '-q', '-w', ...settings]);
  }

  /** Links of pods that nobody knows any more: their records were lost. */
  async #sweep(): Promise<void> {
    const known = new Set(this.#book.all().map(({ uid }) => vethName(uid)));
    const strays = (await this.#ports()).filter((port) => !known.has(port));
    const batch = strays.map((port) => `link delete dev ${port}\n`).join('');
    if (batch) await this.#exec.run(['ip', '-force', '-batch', '-'], { stdin: batch });
  }
  async #ports(): Promise<string[]> {
    const { stdout } = await this.#exec.run(['ip', '-o', 'link', 'show', 'master', this.#shape.bridge]);
    return [...stdout.matchAll(/^\d+: ([^@:\s]+)/gm)].map((match) => match[1]!).filter((port) => port.startsWith('pv'));
  }

  async attach(pod: PodToAttach): Promise<PodAttachment> {
    this.#refuseTakenPorts(pod);
    const known = this.#book.of(pod.uid) !== undefined;
    const record = this.#book.take(pod.uid, pod.hostPorts ?? [], pod.netnsPath);
    const answer = { ips: record.ips, gateway: this.#shape.ranges[0]!.gateway };
    if (known && (await this.#isLinked(record, pod.netnsPath))) return answer;
    if (known) await this.#unlink(pod.uid); // half made, or of a sandbox that has died
    try {
      await this.#must(['ip', '-batch', '-'], hostBatch(this.#shape, pod.uid, pod.netnsPath));
      // Engines turn IPv6 off in networks that they did not make themselves.
      if (this.#hasIpv6)
        await this.#must(
          ['sysctl', '-q', '-w', 'net.ipv6.conf.eth0.disable_ipv6=0', 'net.ipv6.conf.lo.disable_ipv6=0'],
          undefined,
          pod.netnsPath,
        );
      await this.#must(['ip', '-batch', '-'], podBatch(this.#shape, record.ips), pod.netnsPath);
      await this.#shapeTraffic(pod);
      await this.#hostPorts('add', record);
    } catch (error) {
      await this.#unlink(pod.uid);
      if (!known) this.#book.release(pod.uid);
      throw error;
    }
    return answer;
  }

  /** What leaves the host's end enters the pod; what leaves the pod is held back at its own end. */
  async #shapeTraffic({ uid, netnsPath, bandwidth = {} }: PodToAttach): Promise<void> {
    const { ingressBps, egressBps } = bandwidth;
    if (ingressBps !== undefined) await this.#must(shapingArguments(vethName(uid), ingressBps));
    if (egressBps !== undefined) await this.#must(shapingArguments('eth0', egressBps), undefined, netnsPath);
  }

  /** For pods that come, and for those that are here: both ends, or the larger one sends what the smaller drops. */
  async setMtu(mtuBytes: number): Promise<void> {
    if (!Number.isInteger(mtuBytes) || mtuBytes < 576 || mtuBytes > 65_535)
      throw new Error(`${mtuBytes} is no MTU: 576 to 65535 bytes are`);
    this.#shape = { ...this.#shape, mtuBytes };
    const batch = [...(await this.#ports()), this.#shape.bridge].map(
      (port) => `link set dev ${port} mtu ${mtuBytes}\n`,
    );
    await this.#exec.run(['ip', '-force', '-batch', '-'], { stdin: batch.join('') });
    for (const record of this.#book.all())
      if (record.netnsPath && (await this.#isLinked(record, record.netnsPath)))
        await this.#exec.run(['ip', 'link', 'set', 'dev', 'eth0', 'mtu', String(mtuBytes)], {
          netns: record.netnsPath,
        });
  }

  #refuseTakenPorts(pod: PodToAttach): void {
    for (const port of pod.hostPorts ?? [])
      for (const other of this.#book.all())
        if (other.uid !== pod.uid && other.hostPorts.some((each) => clash(each, port)))
          throw new Error(`host port ${port.hostPort}/${port.protocol} is taken by pod ${other.uid}`);
  }

  /** Both ends there and the addresses set: a pod adopted after a restart is not touched. */
  async #isLinked(record: AddressRecord, netnsPath: string): Promise<boolean> {
    const [inside, outside] = await Promise.all([
      this.#exec.run(['ip', '-o', 'address', 'show', 'dev', 'eth0'], { netns: netnsPath }),
      this.#exec.run(['ip', '-o', 'link', 'show', 'dev', vethName(record.uid)]),
    ]);
    return (
      record.ips.every((ip) => inside.stdout.includes(` ${ip}/`)) &&
      outside.stdout.includes(` master ${this.#shape.bridge} `)
    );
  }

  async detach(pod: { uid: string }): Promise<void> {
    await this.#unlink(pod.uid);
    const record = this.#book.of(pod.uid);
    if (record) await this.#hostPorts('delete', record).catch(() => {}); // the table may be gone
    this.#book.release(pod.uid);
  }

  async #unlink(uid: string): Promise<void> {
    const removed = await this.#exec.run(['ip', 'link', 'delete', 'dev', vethName(uid)]);
    if (removed.code !== 0 && !/Cannot find device|does not exist/.test(removed.stderr))
      throw new Error(`cannot remove the link of pod ${uid}: ${removed.stderr.trim()}`);
  }

  async attached(): Promise<{ uid: string; ips: readonly string[] }[]> {
    return this.#book.all().map(({ uid, ips }) => ({ uid, ips }));
  }

  async purge(): Promise<void> {
    const { bridge, tableName } = this.#shape;
    const batch = [...(await this.#ports()), bridge].map((link) => `link delete dev ${link}\n`).join('');
    await this.#exec.run(['ip', '-force', '-batch', '-'], { stdin: batch });
    const tables = ['ip', 'ip6'].map((family) => `table ${family} ${tableName}\ndelete table ${family} ${tableName}\n`);
    await this.#exec.run(['nft', '-f', '-'], { stdin: tables.join('') });
    await dropForwardingRules(this.#exec, this.#options.bridge);
    this.#book.clear();
  }

  async #hostPorts(verb: 'add' | 'delete', record: AddressRecord): Promise<void> {
    const text = hostPortCommands(verb, this.#shape, record);
    if (text) await this.#inTurn(() => this.#must(['nft', '-f', '-'], text));
  }

  /** One write of the table after the other: prepare() mends it while pods come, and an older book would forget a port. */
  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#lastWrite.then(work);
    this.#lastWrite = result.catch(() => {});
    return result;
  }
  #lastWrite: Promise<unknown> = Promise.resolve();

  async #must(argv: readonly string[], stdin?: string, netns?: string): Promise<void> {
    const result = await this.#exec.run(argv, {
      ...(stdin === undefined ? {} : { stdin }),
      ...(netns ? { netns } : {}),
    });
    if (result.code !== 0)
      throw new Error(`${argv.join(' ')} failed: ${(result.stderr || result.stdout).trim() || `code ${result.code}`}`);
  }

  async [Symbol.asyncDispose]() {} // links stay: pods outlive this process
}
