import { type Log, messageOf, PintleError } from '#base';
import type { Lease, LocalHost, NetworkBackend, Prepared, SyncOptions, SyncReport } from '#net/backend';
import { ChangeBook } from '#net/backends/changes';
import { LeaseReader } from '#net/backends/lease-reader';
import { type Rejection, servedPeers } from '#net/backends/leases';
import { checkWork } from '#net/wanted/check';
import type { WorkApplier, WorkReport } from '#net/wanted/device';
import type { LinkFacts, NetworkWork, WorkMistake } from '#net/wanted/list';
import { isWithin } from '#net/wanted/ranges';
import type { NetworkBackends } from '#sdk';
import type { NodeContributions } from './contributions.ts';

export interface NetworksOptions {
  readonly contributions: NodeContributions;
  /** The platform's own. */
  readonly own: readonly NetworkBackend[];
  /** Pod addresses of the cluster (CIDR). */
  readonly podRanges: readonly string[];
  /** What applies the work of one backend of one plugin; the same for the same names. */
  readonly applierOf: (plugin: string, backend: string) => WorkApplier;
  readonly log: Log;
}
const askMsMax = 10_000;

/** The network backends of one node, by name. */
export class CarriedNetworks implements NetworkBackends {
  readonly #own: ReadonlyMap<string, NetworkBackend>;
  readonly #carried = new Map<string, { readonly plugin: string; readonly backend: NetworkBackend }>();
  constructor(private readonly options: NetworksOptions) {
    this.#own = new Map(options.own.map((backend) => [backend.name, backend]));
    options.contributions.reserve('networks', [...this.#own.keys()]);
    options.contributions.onLeaving(async ({ plugin, manifest }) => {
      for (const name of manifest.provides.networks ?? []) {
        if (this.#carried.get(name)?.plugin === plugin) this.#carried.delete(name);
        const purging = options.applierOf(plugin, name).purge();
        await purging.catch((error) =>
          options.log.error('network of a gone plugin not removed', { plugin, name, error: messageOf(error) }),
        );
      }
    });
  }
  names(): readonly string[] {
    return [...this.#own.keys(), ...this.options.contributions.names('networks')];
  }
  get(name: string): NetworkBackend | undefined {
    const own = this.#own.get(name);
    if (own) return own;
    const owner = this.options.contributions.owner('networks', name);
    if (!owner) return undefined;
    const there = this.#carried.get(name);
    if (there?.plugin === owner.plugin) return there.backend;
    const { overheadBytes = 0 } = owner.manifest.networks?.find((one) => one.name === name) ?? {};
    const backend = new CarriedNetwork(name, overheadBytes, this.options.applierOf(owner.plugin, name), this.options);
    this.#carried.set(name, { plugin: owner.plugin, backend });
    return backend;
  }
  onChange(handler: () => void): Disposable {
    return this.options.contributions.onChange(handler);
  }
}

/** A backend that a plugin computes and the node applies. What is in force stays when the plugin does not answer. */
class CarriedNetwork implements NetworkBackend {
  #local: { readonly host: LocalHost; readonly work: NetworkWork; readonly made: readonly LinkFacts[] } | undefined;
  #data: Lease['data'] = {};
  readonly #changes = new ChangeBook();
  constructor(
    readonly name: string,
    readonly overheadBytes: number,
    private readonly applier: WorkApplier,
    private readonly options: Pick<NetworksOptions, 'contributions' | 'podRanges'>,
  ) {}

  async prepare(host: LocalHost): Promise<Prepared> {
    const { contributions } = this.options;
    const name = this.name;
    const said = await contributions.ask('networks', name, 'network.prepare', { name, local: host }, askMsMax);
    const work = this.#checked(said, { local: host, peers: [] });
    // What an earlier sync put there stays until the next one, also that of an earlier process: a restart drops nothing.
    const report = await this.applier.apply(work, host, { keepsRest: true });
    if (report.failures.length > 0) throw refusedByMachine(name, report);
    const { made } = report;
    const facts = await contributions.ask('networks', name, 'network.publish', { name, local: host, made }, askMsMax);
    const { endpoint, data } = checkFacts(name, facts, host);
    this.#local = { host, work, made };
    this.#data = data;
    const extraBytes = endpoint.includes(':') ? ipv6ExtraBytes : 0;
    return { endpoint, data, podMtuBytes: host.underlayMtuBytes - this.overheadBytes - extraBytes };
  }

  async sync(leases: readonly Lease[], { standby = false }: SyncOptions = {}): Promise<SyncReport> {
    const { contributions } = this.options;
    const { name } = this;
    const local = this.#local;
    if (!local) throw new Error(`network backend ${name}: prepare() comes before sync()`);
    // The plugin gets what can be served: one host with a broken lease harms no other.
    const { peers: good, rejected } = new LeaseReader(local.host, name, () => ({})).read(leases);
    const peers = good.map(({ lease }) => lease);
    const asked = { name, local: local.host, made: local.made, peers, standby };
    const said = await contributions.ask('networks', name, 'network.sync', asked, askMsMax);
    const answer = readAnswer(name, said, peers);
    const work = this.#checked(answer.work, { local: local.host, peers, links: local.work.links });
    const report = await this.applier.apply(merged(local.work, work), local.host);
    rejected.push(...answer.rejected, ...failedPeers(report, peers));
    for (const line of report.set) for (const { node } of ownersOf(line, peers)) this.#changes.touch(node, true);
    const served = servedPeers(good, rejected).map(({ lease }) => lease.node);
    return { ...this.#changes.next(served), rejected, data: this.#data };
  }

  purge(): Promise<void> {
    this.#local = undefined;
    this.#changes.next([]);
    return this.applier.purge();
  }
  async [Symbol.asyncDispose](): Promise<void> {}

  #checked(
    said: unknown,
    { local, peers, links }: { local: LocalHost; peers: readonly Lease[]; links?: NetworkWork['links'] },
  ): NetworkWork {
    const checked = checkWork(said, { local, peers, links, podRanges: this.options.podRanges });
    if (!checked.ok) throw refused(this.name, checked.mistakes);
    return checked.work;
  }
}
const ipv6ExtraBytes = 20; // an IPv6 header has 40, and overheadBytes is for IPv4

const refused = (name: string, mistakes: readonly WorkMistake[]): PintleError =>
  new PintleError(
    'WORK_REFUSED',
    `network backend ${name} wants what it may not have: ${mistakes.map(({ at, why }) => `${at}: ${why}`).join('; ')}`,
    'tell its author; what was in force before still is',
  );
const refusedByMachine = (name: string, { failures }: WorkReport): Error =>
  new Error(
    `network backend ${name}: ${failures
      .slice(0, 3)
      .map(({ line, why }) => `${line}: ${why}`)
      .join('; ')}`,
  );

const workKeys = ['links', 'addresses', 'routes', 'neighbours', 'forwarding', 'peers', 'drops'] as const;
const merged = (a: NetworkWork, b: NetworkWork): NetworkWork =>
  Object.fromEntries(workKeys.map((key) => [key, [...(a[key] ?? []), ...(b[key] ?? [])]]));

const dataKeysMax = 16;
const dataCharsMax = 1_024;
/** Other hosts will read it: it has to be short texts, and the way to this host is this host's own. */
function checkFacts(name: string, said: unknown, host: LocalHost): Pick<Lease, 'endpoint' | 'data'> {
  const { endpoint = host.endpoint, data = {} } = (said ?? {}) as { endpoint?: unknown; data?: unknown };
  if (endpoint !== host.endpoint)
    throw refused(name, [{ at: 'endpoint', why: `${JSON.stringify(endpoint)?.slice(0, 60)} is not this host's own` }]);
  const entries = typeof data === 'object' && data !== null && !Array.isArray(data) ? Object.entries(data) : undefined;
  const isFine = entries?.every(
    ([key, value]) => /^[\w.-]{1,63}$/.test(key) && typeof value === 'string' && value.length <= dataCharsMax,
  );
  if (!entries || !isFine || entries.length > dataKeysMax)
    throw refused(name, [{ at: 'data', why: `it must be at most ${dataKeysMax} short texts by name` }]);
  return { endpoint: host.endpoint, data: Object.fromEntries(entries) as Record<string, string> };
}

function readAnswer(name: string, said: unknown, peers: readonly Lease[]) {
  const { work, rejected = [] } = (said ?? {}) as { work?: unknown; rejected?: unknown };
  const isPeer = (node: unknown): boolean => peers.some((peer) => peer.node === node);
  const isList = Array.isArray(rejected) && rejected.length <= peers.length;
  const known = isList && rejected.every((one: { node?: unknown }) => isPeer(one?.node));
  if (!known) throw refused(name, [{ at: 'rejected', why: 'it must be a list of peers' }]);
  const list = rejected as { node: string; reason: unknown }[];
  return { work, rejected: list.map(({ node, reason }) => ({ node, reason: String(reason).slice(0, 256) })) };
}

/** Whose line this is, by the addresses in it. Pure. */
function ownersOf(line: string, peers: readonly Lease[]): readonly Lease[] {
  const words = line.split(' ');
  // The destination says whose a route is; its next hop may be a relay's.
  const said = words[0] === 'route' ? words.slice(2, 3) : words;
  return peers.filter(({ subnets, endpoint }) => said.some((word) => word === endpoint || isWithin(word, subnets)));
}
/** Whose lines the machine refused; one that is nobody's is everybody's. Pure. */
export function failedPeers({ failures }: Pick<WorkReport, 'failures'>, peers: readonly Lease[]): Rejection[] {
  const reasons = new Map<string, string>();
  for (const { line, why } of failures) {
    const owners = ownersOf(line, peers);
    for (const { node } of owners.length > 0 ? owners : peers)
      if (!reasons.has(node)) reasons.set(node, `${why} (${line})`);
  }
  return [...reasons].map(([node, reason]) => ({ node, reason }));
}
