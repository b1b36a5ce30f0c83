import { isIPv4 } from 'node:net';
import type { Exec } from '#base';
import { vethName } from '../link/names.ts';
import type { HostPort, PodAttachment, PodNetwork, PodToAttach } from '../pod.ts';
import { AddressBook, type AddressRecord } from './addresses.ts';
import {
  type BridgeShape,
  bridgeBatch,
  hostBatch,
  hostIpOf,
  hostPortCommands,
  nftTable,
  podBatch,
} from './bridge-plan.ts';
import { acceptForwarding, dropForwardingRules } from './forwarding.ts';

export interface BridgeNetworkOptions {
  /** At most 15 characters. */
  readonly bridge: string;
  /** Of this host's pods (CIDR); its first address is the bridge's. */
  readonly subnet: string;
  /** Of the whole cluster. */
  readonly podRanges: readonly string[];
  readonly serviceRanges?: readonly string[];
  readonly stateFolder: string;
  /** Runs in the host's network namespace. */
  readonly exec: Exec;
  /** Default: the bridge's name. */
  readonly tableName?: string;
  /** Default 1500; smaller under an overlay. */
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
  (hostIpOf(a) === undefined || hostIpOf(b) === undefined || hostIpOf(a) === hostIpOf(b));

class BridgeNetwork implements PodNetwork {
  readonly name = 'bridge';
  readonly #exec: Exec;
  readonly #book: AddressBook;
  readonly #shape: BridgeShape;
  readonly #options: BridgeNetworkOptions;

  constructor(options: BridgeNetworkOptions) {
    if (!/^[\w.-]{1,15}$/.test(options.bridge)) throw new Error(`${options.bridge} is no name for a bridge`);
    this.#options = options;
    this.#exec = options.exec;
    this.#book = new AddressBook(options.stateFolder, options.subnet);
    this.#shape = {
      bridge: options.bridge,
      subnet: options.subnet,
      gateway: this.#book.gateway,
      prefix: this.#book.prefix,
      mtuBytes: options.mtuBytes ?? 1500,
      tableName: options.tableName ?? options.bridge.replaceAll(/\W/g, '_'),
      podRanges: options.podRanges,
      serviceRanges: options.serviceRanges ?? [],
    };
  }

  async prepare(): Promise<void> {
    const { bridge } = this.#shape;
    if ((await this.#exec.run(['ip', 'link', 'show', 'dev', bridge])).code !== 0)
      await this.#must(['ip', 'link', 'add', bridge, 'type', 'bridge']);
    await this.#must(['ip', '-batch', '-'], bridgeBatch(this.#shape));
    await this.#must(['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', `net/ipv4/conf/${bridge}/route_localnet=1`]);
    await this.#inTurn(() => this.#must(['nft', '-f', '-'], nftTable(this.#shape, this.#book.all())));
    await acceptForwarding(this.#exec, bridge, [...new Set([this.#shape.subnet, ...this.#shape.podRanges])]);
  }

  async attach(pod: PodToAttach): Promise<PodAttachment> {
    const elsewhere = pod.hostPorts?.find((port) => port.hostIp && !isIPv4(port.hostIp));
    if (elsewhere) throw new Error(`the bridge network binds host ports to IPv4 addresses, not to ${elsewhere.hostIp}`);
    this.#refuseTakenPorts(pod);
    const known = this.#book.of(pod.uid) !== undefined;
    const record = this.#book.take(pod.uid, pod.hostPorts ?? []);
    const answer = { ips: [record.ip], gateway: this.#shape.gateway };
    if (known && (await this.#isLinked(record, pod.netnsPath))) return answer;
    if (known) await this.#unlink(pod.uid); // half made, or of a sandbox that has died
    try {
      await this.#must(['ip', '-batch', '-'], hostBatch(this.#shape, pod.uid, pod.netnsPath));
      await this.#must(['ip', '-batch', '-'], podBatch(this.#shape, record.ip), pod.netnsPath);
      await this.#hostPorts('add', record);
    } catch (error) {
      await this.#unlink(pod.uid);
      if (!known) this.#book.release(pod.uid);
      throw error;
    }
    return answer;
  }

  #refuseTakenPorts(pod: PodToAttach): void {
    for (const port of pod.hostPorts ?? [])
      for (const other of this.#book.all())
        if (other.uid !== pod.uid && other.hostPorts.some((each) => clash(each, port)))
          throw new Error(`host port ${port.hostPort}/${port.protocol} is taken by pod ${other.uid}`);
  }

  /** Both ends there and the address set: a pod adopted after a restart is not touched. */
  async #isLinked(record: AddressRecord, netnsPath: string): Promise<boolean> {
    const [inside, outside] = await Promise.all([
      this.#exec.run(['ip', '-o', '-4', 'address', 'show', 'dev', 'eth0'], { netns: netnsPath }),
      this.#exec.run(['ip', '-o', 'link', 'show', 'dev', vethName(record.uid)]),
    ]);
    return (
      inside.stdout.includes(` ${record.ip}/${this.#shape.prefix} `) &&
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
    return this.#book.all().map(({ uid, ip }) => ({ uid, ips: [ip] }));
  }

  async purge(): Promise<void> {
    const { bridge, tableName } = this.#shape;
    const { stdout } = await this.#exec.run(['ip', '-o', 'link', 'show', 'master', bridge]);
    const ports = [...stdout.matchAll(/^\d+: ([^@:\s]+)/gm)]
      .map((match) => match[1]!)
      .filter((port) => port.startsWith('pv'));
    const batch = [...ports, bridge].map((link) => `link delete dev ${link}\n`).join('');
    await this.#exec.run(['ip', '-force', '-batch', '-'], { stdin: batch });
    await this.#exec.run(['nft', '-f', '-'], { stdin: `table ip ${tableName}\ndelete table ip ${tableName}\n` });
    await dropForwardingRules(this.#exec, this.#options.bridge);
    this.#book.clear();
  }

  async #hostPorts(verb: 'add' | 'delete', record: AddressRecord): Promise<void> {
    const text = hostPortCommands(verb, this.#shape.tableName, record);
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
