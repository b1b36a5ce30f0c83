import { type Clock, type Converse, type Exec, type Log, silentLog, systemClock, systemConverse } from '#base';
import { canonicalCidr } from '../cidr.ts';
import { createConntrack, type Served } from '../nft/conntrack.ts';
import { type Family, removalText } from '../nft/ruleset.ts';
import { runNft } from '../nft/run.ts';
import { NftSession } from '../nft/session.ts';
import type { Route, RouteTable, ServiceProxy } from '../service-proxy.ts';
import { readClients } from './clients.ts';
import { canonicalRoute, FamilyRules } from './family.ts';
import { liveBackendsOf } from './state.ts';
import { familyOf, type RuleOptions } from './table.ts';

export interface NftablesProxyOptions extends RuleOptions {
  readonly exec: Exec;
  /** Path of the network namespace whose traffic is translated; absent: ours. */
  readonly netns?: string;
  readonly log?: Log;
  readonly clock?: Clock;
  /** How the long-lived nft is started. Default: a real child. */
  readonly converse?: Converse;
}

/** Clients that are told so are waiting for time-outs of their own, which are much longer. */
const forgetPauseMs = 200;

/** Service addresses by nftables: a table of our own for each address family, replaced whole at the start and changed by deltas after that. */
export function createNftablesProxy(options: NftablesProxyOptions): ServiceProxy {
  checkOptions(options);
  return new NftablesProxy(options);
}

class NftablesProxy implements ServiceProxy {
  readonly name = 'nftables';
  readonly #session: NftSession;
  readonly #conntrack;
  readonly #log: Log;
  /** Undefined: nobody knows what the kernel holds (start, or a failure), so the next apply writes everything. */
  #families: readonly FamilyRules[] | undefined;
  #closed = false;
  #tail: Promise<unknown> = Promise.resolve();
  #forgetting: Promise<void> | undefined;
  /** TCP routes, by id, of which a backend is gone, and nobody has told its clients yet. */
  readonly #lost = new Set<string>();
  readonly #ending = new AbortController();

  constructor(private readonly options: NftablesProxyOptions) {
    const { exec, netns, log = silentLog, converse = systemConverse } = options;
    this.#log = log;
    this.#session = new NftSession(converse, netns);
    this.#conntrack = createConntrack({ exec, netns, log });
  }

  apply(table: RouteTable): ReturnType<ServiceProxy['apply']> {
    const result = this.#tail.then(() => this.#apply(table));
    this.#tail = result.catch(() => {});
    return result;
  }
  async purge(): Promise<void> {
    await this.#tail;
    await this.#forgetting;
    this.#families = undefined;
    await this.#nft(['-f', '-'], removalText(4, this.options.tableName));
    await this.#removeUnused(6);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#ending.abort();
    await this.#tail;
    await this.#forgetting;
    await this.#session[Symbol.asyncDispose]();
  }

  async #apply(table: RouteTable): ReturnType<ServiceProxy['apply']> {
    if (this.#closed) throw new Error('the proxy is closed');
    const badRange = table.podRanges.find((range) => canonicalCidr(range) !== range);
    if (badRange !== undefined) throw new Error(`pod range ${badRange} is no CIDR`);
    const routes = byFamily(table.routes);
    const current = this.#families;
    this.#families = undefined;
    let changes: Changes = { udpChanged: true, tcpLost: [] };
    if (current && (routes[6].length === 0 || current.length > 1)) {
      try {
        const changed = await this.#change(current, routes, table.podRanges);
        if (changed) this.#families = current;
        changes = changed ?? changes;
      } catch (error) {
        this.#log.warn('the kernel refused a change of service rules; writing all of them', { error });
      }
    }
    this.#families ??= await this.#replace(current, routes, table.podRanges);
    if (changes.udpChanged) await this.#forgetUdp(this.#families);
    this.#forgetTcp(changes.tcpLost);
    return { refused: this.#families.flatMap(({ refused }) => refused) };
  }

  async #replace(current: readonly FamilyRules[] | undefined, routes: ByFamily, podRanges: readonly string[]) {
    const { options } = this;
    const wants6 = routes[6].length > 0 || (options.serviceRanges ?? []).some((range) => familyOf(range) === 6);
    const wanted: readonly Family[] = wants6 ? [4, 6] : [4];
    const families = wanted.map(
      (family) => current?.find((one) => one.family === family) ?? new FamilyRules(family, options),
    );
    const nft = (argv: readonly string[], stdin?: string) => this.#nft(argv, stdin);
    const texts: string[] = [];
    for (const rules of families) {
      const remembered = await readClients(nft, rules.family, options.tableName);
      texts.push(rules.replacement(routes[rules.family], podRanges, remembered));
    }
    await this.#nft(['-f', '-'], texts.join(''));
    if (!wants6) await this.#removeUnused(6);
    return families;
  }

  /** Undefined when everything has to be written. */
  async #change(current: readonly FamilyRules[], routes: ByFamily, podRanges: readonly string[]) {
    const changes = current.map((rules) => rules.change(routes[rules.family], podRanges));
    const known = changes.filter((one) => one !== undefined);
    if (known.length < changes.length) return undefined;
    const all = {
      udpChanged: known.some(({ udpChanged }) => udpChanged),
      tcpLost: known.flatMap(({ tcpLost }) => tcpLost),
    };
    const commands = known.flatMap((one) => one.commands);
    if (commands.length === 0) {
      // Nothing of ours changed; somebody may have flushed our tables, though.
      for (const { family } of current)
        await this.#nft(['list', 'chain', family === 4 ? 'ip' : 'ip6', this.options.tableName, 'translate']);
      return all;
    }
    const text = commands.join('\n');
    if (text.length > NftSession.textCharsMax) await this.#nft(['-f', '-'], `${text}\n`);
    else {
      const complaint = await this.#session.run(commands);
      if (complaint !== '') throw new Error(`nft: ${complaint?.slice(0, 500) ?? 'ended unexpectedly'}`);
    }
    return all;
  }

  #nft(argv: readonly string[], stdin?: string): Promise<string> {
    const { exec, netns } = this.options;
    return runNft(exec, argv, { stdin, netns });
  }
  /** Left by a cluster that had this family; the kernel may not know the family at all. */
  async #removeUnused(family: Family): Promise<void> {
    const { exec, netns, tableName } = this.options;
    await runNft(exec, ['-f', '-'], { stdin: removalText(family, tableName), netns }).catch(() => {});
  }

  async #forgetUdp(families: readonly FamilyRules[]): Promise<void> {
    for (const rules of families) {
      const routes = [...rules.routes()].filter((route) => route.protocol === 'udp');
      await this.#conntrack.forgetStale(routes.map(servedOf), rules.family, 'udp');
    }
  }
  /** Nobody waits for it: who has a connection to a backend that is gone is told so a moment later, many changes at once. */
  #forgetTcp(lost: readonly Route[]): void {
    for (const { id } of lost) this.#lost.add(id);
    if (this.#lost.size === 0) return;
    this.#forgetting ??= this.#forgetLost().finally(() => {
      this.#forgetting = undefined;
    });
  }
  async #forgetLost(): Promise<void> {
    const { clock = systemClock } = this.options;
    while (this.#lost.size > 0 && !this.#closed) {
      await clock.sleep(forgetPauseMs, this.#ending.signal);
      const ids = [...this.#lost];
      this.#lost.clear();
      for (const rules of this.#families ?? []) {
        const routes = ids.map((id) => rules.route(id)).filter((route) => route !== undefined);
        if (routes.length === 0) continue;
        try {
          await this.#conntrack.forgetStale(routes.map(servedOf), rules.family, 'tcp');
        } catch (error) {
          this.#log.warn('connections to backends that are gone were not ended', { error });
        }
      }
    }
  }
}

interface Changes {
  readonly udpChanged: boolean;
  readonly tcpLost: readonly Route[];
}
type ByFamily = Readonly<Record<Family, readonly Route[]>>;
function byFamily(routes: readonly Route[]): ByFamily {
  const split: Record<Family, Route[]> = { 4: [], 6: [] };
  for (const route of routes) {
    const family = familyOf(route.virtual.ip);
    split[family].push(family === 4 && !route.external ? route : canonicalRoute(route));
  }
  return split;
}
const servedOf = (route: Route): Served => ({
  protocol: route.protocol,
  addresses: [route.virtual.ip, ...(route.external ?? []).map(({ ip }) => ip)],
  port: route.virtual.port,
  nodePort: route.nodePort,
  backends: liveBackendsOf(route),
});

function checkOptions(options: NftablesProxyOptions): void {
  if (!/^[a-zA-Z][a-zA-Z0-9_]{0,30}$/.test(options.tableName))
    throw new Error(`${options.tableName} is no name for an nftables table`);
  const ranges = [...(options.serviceRanges ?? []), ...(options.nodePortRanges ?? [])];
  const badRange = ranges.find((range) => canonicalCidr(range) !== range);
  if (badRange !== undefined) throw new Error(`${badRange} is no CIDR, or has bits below its prefix`);
}
