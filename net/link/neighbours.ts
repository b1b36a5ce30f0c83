import type { Exec } from '#base';
import { listJson, runBatch } from './batch.ts';

/** A host beyond a tunnel device: its addresses there, its hardware address, and where its packets are sent. */
export interface Neighbour {
  readonly mac: string;
  readonly ips: readonly string[];
  readonly endpoint: string;
}
interface NeighbourRow {
  readonly dst: string;
  readonly lladdr?: string;
  readonly state?: readonly string[];
}
interface ForwardingRow {
  readonly mac: string;
  readonly dst?: string;
}

/**
 * Who is beyond a VXLAN device: neighbour entries and forwarding entries, all permanent, so that nothing is ever asked for
 * on the wire. Remembers what it set; a change costs one process of `ip` and one of `bridge`.
 */
export class NeighbourTable {
  readonly #exec: Exec;
  readonly #device: string;
  #present: { readonly macs: Map<string, string>; readonly ips: Map<string, string> } | undefined;

  constructor(exec: Exec, device: string) {
    this.#exec = exec;
    this.#device = device;
  }
  /** Forgets what it set: the next apply() reads the machine. */
  forget(): void {
    this.#present = undefined;
  }

  /** Exactly these. Resolves to the hardware addresses for which something was set, and to what the kernel refused. */
  async apply(wanted: readonly Neighbour[]): Promise<{ set: Set<string>; refused: Map<string, string> }> {
    const present = (this.#present ??= await this.#read());
    this.#present = undefined; // until all of it has worked
    const macs = new Map(wanted.map(({ mac, endpoint }) => [mac, endpoint]));
    const ips = new Map(wanted.flatMap(({ mac, ips }) => ips.map((ip) => [ip, mac] as const)));
    const on = `dev ${this.#device}`;
    const fdb = difference(macs, present.macs, (mac, endpoint, isWanted) =>
      isWanted
        ? `fdb replace ${mac} ${on} dst ${endpoint} self permanent`
        : `fdb del ${mac} ${on} dst ${endpoint} self`,
    );
    const neighbours = difference(ips, present.ips, (ip, mac, isWanted) =>
      isWanted ? `neigh replace ${ip} lladdr ${mac} ${on} nud permanent` : `neigh delete ${ip} ${on}`,
    );
    const [fdbFailures, neighbourFailures] = await Promise.all([
      runBatch(this.#exec, 'bridge', fdb.lines),
      runBatch(this.#exec, 'ip', neighbours.lines),
    ]);
    const refused = new Map<string, string>();
    for (const [place, reason] of fdbFailures) if (fdb.set[place]) refused.set(fdb.set[place], reason);
    for (const [place, reason] of neighbourFailures)
      if (neighbours.set[place]) refused.set(ips.get(neighbours.set[place])!, reason);
    if (fdbFailures.size + neighbourFailures.size === 0) this.#present = { macs, ips };
    return { set: new Set([...fdb.set, ...neighbours.set.map((ip) => ips.get(ip)!)]), refused };
  }

  async #read() {
    const [ips, macs] = await Promise.all([
      listJson<NeighbourRow>(this.#exec, ['ip', '-j', 'neigh', 'show', 'dev', this.#device, 'nud', 'permanent']),
      listJson<ForwardingRow>(this.#exec, ['bridge', '-j', 'fdb', 'show', 'dev', this.#device]),
    ]);
    return {
      ips: new Map(ips.flatMap(({ dst, lladdr }) => (lladdr ? [[dst, lladdr] as const] : []))),
      macs: new Map(macs.flatMap(({ mac, dst }) => (dst ? [[mac, dst] as const] : []))),
    };
  }
}

/** What to set first, then what to delete; `set` names the keys of the first lines, in order. Pure. */
function difference(
  wanted: ReadonlyMap<string, string>,
  present: ReadonlyMap<string, string>,
  line: (key: string, value: string, isWanted: boolean) => string,
): { lines: string[]; set: string[] } {
  const set = [...wanted].filter(([key, value]) => present.get(key) !== value);
  const gone = [...present].filter(([key]) => !wanted.has(key));
  return {
    lines: [
      ...set.map(([key, value]) => line(key, value, true)),
      ...gone.map(([key, value]) => line(key, value, false)),
    ],
    set: set.map(([key]) => key),
  };
}
