import { type Clock, type Exec, messageOf, PintleError } from '#base';
import { readDevice, removeDevice, settleDevice, type WantedDevice } from '../link/device.ts';
import { type DumpPeer, parseDump, type WireguardDump } from './dump.ts';
import { type PeerChange, type PeerPlan, peerSections, planPeers, type WantedPeer } from './plan.ts';
import type { Implementation } from './probe.ts';

export interface WireguardOptions {
  /** At most 15 characters, of this machine alone: also unlike those of other network namespaces. */
  readonly name: string;
  /** Runs in the host's network namespace. */
  readonly exec: Exec;
  readonly clock: Clock;
}
export interface DeviceIdentity {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly port: number;
}
const endMsMax = 10_000; // it takes a few milliseconds
const keysInArgumentsMax = 1_000; // 45 bytes each: far below what one argument list takes

/** One WireGuard device by wireguard-tools. Keys go through standard input, never through arguments. */
export class WireguardDevice {
  readonly name: string;
  readonly #exec: Exec;
  readonly #clock: Clock;
  /** What each key was last set to; undefined until the device was read. */
  #set: Map<string, WantedPeer> | undefined;
  /** What ensure() has just read, for the apply() that follows. */
  #fresh: WireguardDump | undefined;

  constructor(options: WireguardOptions) {
    this.name = options.name;
    this.#exec = options.exec;
    this.#clock = options.clock;
  }

  /** Made if it is missing, with this key, port, addresses and MTU. True when something had to be done. */
  async ensure(
    implementation: Implementation,
    wanted: Omit<WantedDevice, 'name'>,
    identity: DeviceIdentity,
  ): Promise<boolean> {
    let present = await readDevice(this.#exec, this.name);
    const wasThere = present !== undefined;
    if (!wasThere) {
      this.#set = undefined;
      await this.#create(implementation);
      present = await readDevice(this.#exec, this.name);
      if (!present) throw new Error(`the device ${this.name} is not there although it was made`);
    }
    const dump = await this.dump();
    this.#fresh = dump;
    const identified = dump.publicKey === identity.publicKey && dump.listenPort === identity.port;
    if (!identified) await this.#identify(identity);
    const settled = await settleDevice(this.#exec, { ...wanted, name: this.name }, present!).catch((error: unknown) => {
      throw portTaken(messageOf(error), identity.port) ?? error; // the kernel's own binds its port when it goes up
    });
    return settled || !identified || !wasThere;
  }

  async #create({ type }: Implementation): Promise<void> {
    // wireguard-go goes to the background by itself; a session of its own keeps it when its starter's group is ended.
    const made =
      type === 'kernel'
        ? await this.#exec.run(['ip', 'link', 'add', this.name, 'type', 'wireguard'])
        : await this.#exec.run(['setsid', 'wireguard-go', this.name], { env: { LOG_LEVEL: 'silent' } });
    if (made.code !== 0)
      throw new Error(`cannot make the WireGuard device ${this.name}: ${lastLine(made.stderr) || `code ${made.code}`}`);
  }

  async #identify({ privateKey, port }: DeviceIdentity): Promise<void> {
    const text = `[Interface]\nPrivateKey = ${privateKey}\nListenPort = ${port}\n`;
    const done = await this.#exec.run(['wg', 'addconf', this.name, '/dev/stdin'], { stdin: text });
    if (done.code === 0) return;
    const reason = lastLine(done.stderr);
    const taken = portTaken(reason, port);
    if (taken) throw taken;
    throw new Error(`cannot set up the WireGuard device ${this.name}: ${reason}`);
  }

  async dump(): Promise<WireguardDump> {
    const shown = await this.#exec.run(['wg', 'show', this.name, 'dump']);
    if (shown.code !== 0) throw new Error(`cannot read the WireGuard device ${this.name}: ${lastLine(shown.stderr)}`);
    return parseDump(shown.stdout);
  }

  /** Forgets what it set: the next apply() reads the machine. What was wanted of a pre-shared key is known to itself alone. */
  #remembered: ReadonlyMap<string, WantedPeer> = new Map();
  forget(): void {
    if (this.#set) this.#remembered = this.#set;
    this.#set = undefined;
    this.#fresh = undefined;
  }

  /** Exactly these peers, in at most two processes more than a look. Resolves to what was done. */
  async apply(wanted: readonly WantedPeer[], nowS: number): Promise<PeerPlan> {
    const before = this.#set ?? this.#remembered;
    const observed = this.#set
      ? [...this.#set.values()].map((peer) => asSet(peer, nowS))
      : (this.#fresh ?? (await this.dump())).peers;
    this.#fresh = undefined;
    const plan = planPeers(wanted, observed, nowS, before);
    this.forget(); // until all of it has worked
    await this.#write(plan.set);
    await this.#remove(plan.remove);
    this.#set = new Map(wanted.map((peer) => [peer.publicKey, peer]));
    return plan;
  }

  async #write(changes: readonly PeerChange[]): Promise<void> {
    if (changes.length === 0) return;
    const done = await this.#exec.run(['wg', 'addconf', this.name, '/dev/stdin'], { stdin: peerSections(changes) });
    if (done.code !== 0) throw new Error(`cannot set peers of ${this.name}: ${lastLine(done.stderr)}`);
    const open = changes.filter(
      ({ peer, isNew }) => !isNew && !peer.presharedKey && this.#remembered.get(peer.publicKey)?.presharedKey,
    );
    if (open.length) await this.#closePreshared(open.map(({ peer }) => peer.publicKey));
  }
  /** A section without a pre-shared key leaves the former one in force. */
  async #closePreshared(keys: readonly string[]): Promise<void> {
    const argv = keys.flatMap((key) => ['peer', key, 'preshared-key', '/dev/null']);
    const done = await this.#exec.run(['wg', 'set', this.name, ...argv]);
    if (done.code !== 0) throw new Error(`cannot drop pre-shared keys of ${this.name}: ${lastLine(done.stderr)}`);
  }

  async #remove(keys: readonly string[]): Promise<void> {
    for (let start = 0; start < keys.length; start += keysInArgumentsMax) {
      const argv = keys.slice(start, start + keysInArgumentsMax).flatMap((key) => ['peer', key, 'remove']);
      const done = await this.#exec.run(['wg', 'set', this.name, ...argv]);
      if (done.code !== 0) throw new Error(`cannot remove peers of ${this.name}: ${lastLine(done.stderr)}`);
    }
  }

  /** Also ends wireguard-go, which lives as long as its device. */
  async remove(): Promise<void> {
    this.#set = undefined;
    this.#remembered = new Map();
    await removeDevice(this.#exec, this.name);
    const endMs = this.#clock.monotonicMs() + endMsMax;
    while ((await this.#exec.run(['wg', 'show', this.name, 'listen-port'])).code === 0) {
      if (this.#clock.monotonicMs() > endMs)
        throw new Error(`wireguard-go of ${this.name} does not end although its device is gone`);
      await this.#clock.sleep(10);
    }
  }
}

const portTaken = (reason: string, port: number): PintleError | undefined =>
  /in use/i.test(reason)
    ? new PintleError(
        'WIREGUARD_PORT_TAKEN',
        `UDP port ${port} of this host is taken: the overlay cannot listen there`,
        'end the program that listens there (ss -lunp), or choose another port for the overlay',
      )
    : undefined;

/** What a dump would say of a peer right after it was set. */
const asSet = (peer: WantedPeer, nowS: number): DumpPeer => ({
  publicKey: peer.publicKey,
  hasPresharedKey: peer.presharedKey !== undefined,
  endpoint: peer.endpoint,
  allowedIps: peer.allowedIps,
  lastHandshakeS: nowS,
  receivedBytes: 0,
  sentBytes: 0,
  keepaliveS: peer.keepaliveS,
});
/** The complaint itself: wireguard-go prints a box above it. */
const lastLine = (text: string): string => text.trim().split('\n').at(-1)!.trim();
