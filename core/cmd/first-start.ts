import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import { type Exec, messageOf, PintleError } from '#base';
import { loadCniList } from '../../net/cni/chain.ts';
import type { Decision, UpOptions } from './decide.ts';
import { type Config, type Home, homeFolders, newClusterId, serviceRangesOf } from './home.ts';
import { neighbours } from './neighbours.ts';
import { loopbackListeners, nthAddress, pickRanges } from './ranges.ts';
import { serviceSettingsOf } from './service-settings.ts';

/** What a first start makes before the configuration; left behind when it is killed in the middle. */
const ownNames = [...homeFolders, 'engine', 'kubeconfig', 'config.json.new', 'kubeconfig.new'];

/** What a home folder without a configuration holds that is not ours. */
export const strangersIn = (home: Home): string[] =>
  existsSync(home.folder) ? readdirSync(home.folder).filter((name) => !ownNames.includes(name)) : [];

/** Makes the folders of a home; refuses one that holds anything else, or that this user cannot write to. */
export function claimFolder(home: Home): void {
  if (existsSync(home.folder) && !statSync(home.folder).isDirectory())
    throw new PintleError('BAD_HOME', `${home.folder} is a file`, 'name an empty or new folder with --home');
  const strangers = home.exists() ? [] : strangersIn(home);
  if (strangers.length > 0)
    throw new PintleError(
      'HOME_NOT_EMPTY',
      `${home.folder} holds other files (${strangers.slice(0, 3).join(', ')}) and no cluster`,
      'name an empty or new folder with --home',
    );
  home.makeFolders();
}

/** Chooses everything that a new cluster keeps for good. Nothing is written. */
export async function chooseConfig(home: Home, options: UpOptions, decision: Decision, exec: Exec): Promise<Config> {
  const others = neighbours(home);
  const clusterId = newClusterId(home.folder);
  const ranges = pickRanges(
    { podCidr: options.podCidr, serviceCidr: options.serviceCidr, nodePorts: options.nodePorts },
    {
      cidrs: [
        ...(decision.loopback ? listenersOfThisHost() : await hostRoutes(exec)),
        ...others.flatMap((other) => [other.podCidr, ...serviceRangesOf(other)]),
      ],
      nodePorts: others.map((other) => other.nodePorts),
    },
    decision.loopback,
    Number.parseInt(clusterId, 16),
  );
  const taken = new Set(others.flatMap((other) => [other.port, other.kubeletPort]));
  return {
    formatVersion: 1,
    clusterId,
    createdAt: new Date().toISOString(),
    port: options.port ?? (await freePort(6443, taken)),
    kubeletPort: await freePort(10250, new Set([...taken, options.port ?? 0])),
    ...ranges,
    ...cniOf(options, decision),
    bridge: `pin${clusterId}`, // 11 characters; the kernel allows 15
    podTable: `pintle_pods_${clusterId}`,
    serviceTable: `pintle_services_${clusterId}`,
    runtime: decision.runtime,
    proxy: decision.proxy,
    engine: decision.engine,
    nodeName: options.nodeName ?? nodeNameOf(hostname()),
    nodeIp: decision.loopback ? '127.0.0.1' : (options.nodeIp ?? primaryAddress() ?? nthAddress(ranges.podCidr, 1)),
    store: options.store ?? 'sqlite',
    ...severalHosts(options),
    ...(options.otlpEndpoint && options.otlpEndpoint !== 'none' && { otlpEndpoint: options.otlpEndpoint }),
    ...serviceSettingsOf(options),
  };
}

/** Looked at before anything is written: a folder without a configuration would leave every pod without a network. */
export function cniOf({ cni }: Pick<UpOptions, 'cni'>, decision: Pick<Decision, 'runtime'>): Partial<Config> {
  if (cni === undefined) return {};
  if (decision.runtime !== 'docker')
    throw new PintleError(
      'CNI_UNFIT',
      '--cni needs root and a container engine: processes have addresses of this host',
      'run it as root with an engine, or leave --cni out',
    );
  const folder = resolve(cni);
  try {
    loadCniList(folder);
  } catch (error) {
    throw new PintleError(
      'CNI_UNFIT',
      messageOf(error),
      'name a folder with a .conflist in it, such as /etc/cni/net.d',
    );
  }
  return { cni: folder };
}

/** Throws where a node of a cluster of several hosts cannot be. */
export function refuseUnfit({ loopback, proxy }: Pick<Decision, 'loopback' | 'proxy'>): void {
  if (loopback)
    throw new PintleError(
      'NODE_UNFIT',
      'hosts of one cluster need root and a container engine: without them pods have addresses of this host alone',
      'see ./pintle doctor; run as root, with docker.io, nftables and iproute2 installed (--yes installs them)',
    );
  if (proxy !== 'nftables')
    throw new PintleError(
      'NODE_UNFIT',
      'hosts of one cluster need nft, which does not work here: pods, services and policies stand on it',
      'install it (apt-get install -y nftables, or --yes does); where it is there, see nft list tables: the kernel lacks nf_tables, or rights are missing',
    );
}

/** What a server keeps beyond a cluster of one host. */
function severalHosts(options: UpOptions): Partial<Config> {
  const { role, advertise, schedulable, nodeGraceSeconds, evictAfterSeconds, plugins } = options;
  return {
    ...(role && { role, advertise: advertise ?? [] }),
    ...(schedulable && { schedulable }),
    ...(nodeGraceSeconds && { nodeGraceSeconds }),
    ...(evictAfterSeconds !== undefined && { evictAfterSeconds }),
    ...(plugins && Object.keys(plugins).length > 0 && { plugins }),
  };
}

/** A host name as a valid node name. */
export function nodeNameOf(host: string): string {
  const name = host
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 63);
  return name || 'node';
}

/** Whose configuration other users may not read, such as this host's other clusters. */
function listenersOfThisHost(): string[] {
  return ['tcp', 'udp'].flatMap((protocol) => {
    try {
      return loopbackListeners(readFileSync(`/proc/net/${protocol}`, 'utf8'));
    } catch {
      return [];
    }
  });
}

export async function hostRoutes(exec: Exec): Promise<string[]> {
  const result = await exec.run(['ip', '-json', 'route', 'show', 'table', 'all']);
  try {
    const routes = JSON.parse(result.stdout) as { dst?: string; type?: string }[];
    return routes.map((route) => route.dst ?? '').filter((dst) => /^\d/.test(dst));
  } catch {
    return [];
  }
}

function primaryAddress(): string | undefined {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (/^(pin|docker|br-|veth|cni|virbr)/.test(name)) continue;
    const found = addresses?.find(
      (address) => address.family === 'IPv4' && !address.internal && !address.address.startsWith('169.254.'),
    );
    if (found) return found.address;
  }
  return undefined;
}

/** True when we can listen there now. */
export function portIsFree(port: number): boolean {
  try {
    Bun.listen({ hostname: '0.0.0.0', port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}

export async function freePort(first: number, taken: ReadonlySet<number>): Promise<number> {
  for (let port = first; port < first + 200; port++) if (!taken.has(port) && portIsFree(port)) return port;
  throw new PintleError(
    'NO_FREE_PORT',
    `no port between ${first} and ${first + 199} is free`,
    'name a free one with --port',
  );
}
