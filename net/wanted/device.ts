import type { Exec } from '#base';
import type { LocalHost } from '../backend.ts';
import type { LinkFacts, NetworkWork, WorkLink, WorkPeer } from './list.ts';
import { observeWork } from './observe.ts';
import { deviceName, dropTable, macOf, planWork, tableName, type WorkOwner } from './plan.ts';

/** A line that the machine refused; the others are in force. */
export interface WorkFailure {
  /** As given to `ip` or `bridge`. */
  readonly line: string;
  readonly why: string;
}
export interface WorkReport {
  readonly made: readonly LinkFacts[];
  /** Lines that were applied: what was missing or wrong. */
  readonly set: readonly string[];
  readonly failures: readonly WorkFailure[];
}
/** Puts checked work in force, whole each time: what is not in it any more goes, unless `keepsRest`. */
export interface WorkApplier {
  apply(work: NetworkWork, local: LocalHost, how?: { readonly keepsRest: boolean }): Promise<WorkReport>;
  /** Removes all of it. */
  purge(): Promise<void>;
}
/** Devices whose private keys stay with the host. */
export interface WireguardLinks {
  /** With this port; its public key. */
  ensure(
    device: string,
    link: Extract<WorkLink, { type: 'wireguard' }> & { readonly addresses: readonly string[] },
    local: LocalHost,
  ): Promise<string>;
  /** Resolves to the public keys of those that were new or had changed. */
  sync(device: string, peers: readonly Omit<WorkPeer, 'link'>[]): Promise<readonly string[]>;
  /** The device and its key. */
  remove(device: string): Promise<void>;
}
export interface WorkApplierOptions {
  readonly owner: WorkOwner;
  readonly exec: Exec;
  readonly netns?: string;
  readonly wireguard?: WireguardLinks;
}
const batchTimeoutMs = 30_000;

/** `work` has been checked (check.ts): its words go into commands as they are. One call at a time. */
export const createWorkApplier = (options: WorkApplierOptions): WorkApplier => new Applier(options);

class Applier implements WorkApplier {
  #dropsInForce: string | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  constructor(private readonly options: WorkApplierOptions) {}

  apply(work: NetworkWork, local: LocalHost, { keepsRest } = { keepsRest: false }): Promise<WorkReport> {
    return this.#inTurn(async () => {
      const { owner, exec, netns, wireguard } = this.options;
      const tunnels = await this.#applyTunnels(work, local);
      const observed = await observeWork(exec, owner, netns);
      const { endpoint, underlayMtuBytes } = local;
      const plan = planWork(work, observed, { owner, endpoint, underlayMtuBytes, keepsRest });
      if (!keepsRest) await this.#applyDrops(work);
      const failures = await this.#batch('ip', plan.ip);
      failures.push(...(await this.#batch('bridge', plan.bridge)));
      await this.#openWay(plan.ip);
      const set = [...plan.ip, ...plan.bridge].filter((line) => !failures.some((one) => one.line === line));
      for (const { name } of keepsRest ? [] : tunnels) {
        const peers = (work.peers ?? []).filter(({ link }) => link === name);
        const changed = await wireguard!.sync(deviceName(owner, name), peers);
        for (const { publicKey, endpoint, allowed } of peers)
          if (changed.includes(publicKey)) set.push(['peer', endpoint.ip, ...allowed].join(' '));
      }
      const made = (work.links ?? []).flatMap(({ name, type }): LinkFacts[] =>
        type === 'vxlan' ? [{ name, type, mac: macOf(owner, name) }] : [],
      );
      return { made: [...made, ...tunnels], set, failures };
    });
  }
  purge(): Promise<void> {
    return this.#inTurn(async () => {
      const { owner, exec, netns, wireguard } = this.options;
      const observed = await observeWork(exec, owner, netns);
      for (const { device, kind } of observed.links) if (kind !== 'vxlan') await wireguard?.remove(device);
      const rest = { ...observed, links: observed.links.filter(({ kind }) => kind === 'vxlan' || !wireguard) };
      const plan = planWork({}, rest, { owner, endpoint: '0.0.0.0', underlayMtuBytes: 0 });
      await this.#batch('ip', plan.ip); // a line about a device that has gone with its routes fails, and may
      this.#dropsInForce = undefined;
      await this.#applyDrops({});
      const { links, routes } = await observeWork(exec, owner, netns);
      if (links.length + routes.length > 0)
        throw new Error(`${owner.id}: ${links.length} links and ${routes.length} routes could not be removed`);
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#tail.then(work, work);
    this.#tail = next.catch(() => {});
    return next;
  }
  async #batch(program: 'ip' | 'bridge', lines: readonly string[]): Promise<WorkFailure[]> {
    if (lines.length === 0) return [];
    const { exec, netns } = this.options;
    const stdin = `${lines.join('\n')}\n`;
    const argv = [program, '-force', '-batch', '-'];
    const { code, stderr } = await exec.run(argv, { stdin, netns, timeoutMs: batchTimeoutMs });
    return code === 0 ? [] : failuresOf(lines, stderr);
  }
  /** Forwarding, and loose reverse-path filtering on new devices: while routes move, packets still come by the old way. */
  async #openWay(lines: readonly string[]): Promise<void> {
    const { exec, netns } = this.options;
    for (const line of lines) {
      const device = /^link add (\w+) /.exec(line)?.[1];
      if (!device) continue;
      await exec.run(['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', `net/ipv4/conf/${device}/rp_filter=2`], { netns });
      if (lines.some((one) => one.startsWith('addr replace') && one.includes(':')))
        await exec.run(['sysctl', '-q', '-w', 'net.ipv6.conf.all.forwarding=1'], { netns });
    }
  }
  /** Compared with what the machine has, too: somebody may have flushed it. */
  async #applyDrops({ drops = [] }: NetworkWork): Promise<void> {
    const { owner, exec, netns } = this.options;
    const text = dropTable(owner, drops);
    if (text === this.#dropsInForce && drops.length === 0) return;
    const isThere = (await exec.run(['nft', 'list', 'table', 'inet', tableName(owner)], { netns })).code === 0;
    if (isThere ? text !== this.#dropsInForce : drops.length > 0) {
      const { code, stderr } = await exec.run(['nft', '-f', '-'], { stdin: text, netns });
      if (code !== 0) throw new Error(`nft refused the table of ${owner.id}: ${stderr.trim().slice(0, 300)}`);
    }
    this.#dropsInForce = text;
  }
  async #applyTunnels({ links = [], addresses = [] }: NetworkWork, local: LocalHost): Promise<LinkFacts[]> {
    const { owner, wireguard } = this.options;
    const tunnels = links.filter((link) => link.type === 'wireguard');
    if (tunnels.length > 0 && !wireguard) throw new Error('this host has no WireGuard for plugins');
    return Promise.all(
      tunnels.map(async (link) => ({
        name: link.name,
        type: link.type,
        publicKey: await wireguard!.ensure(
          deviceName(owner, link.name),
          { ...link, addresses: addresses.filter((one) => one.link === link.name).map(({ address }) => address) },
          local,
        ),
      })),
    );
  }
}

/** `Command failed -:3` follows the complaint about line 3. Pure. */
export function failuresOf(lines: readonly string[], stderr: string): WorkFailure[] {
  const failures: WorkFailure[] = [];
  let why = '';
  for (const text of stderr.split('\n')) {
    const at = /^Command failed -:(\d+)$/.exec(text.trim())?.[1];
    if (at === undefined) {
      if (text.trim()) why = text.trim().slice(0, 200);
      continue;
    }
    failures.push({ line: lines[Number(at) - 1] ?? '', why });
    why = '';
  }
  return failures.length > 0 ? failures : [{ line: lines[0] ?? '', why: why || 'it failed' }];
}
