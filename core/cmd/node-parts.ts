import { type Log, silentLog, systemClock, systemExec } from '#base';
import type { NetworkBackend } from '#net/backend';
import type { ContainerRuntime } from '#sdk';
import { createAnnouncer } from '../../net/announce/device.ts';
import type { AddressAnnouncer } from '../../net/announcer.ts';
import { createNftablesFilter } from '../../net/filter/nftables.ts';
import { createSourceLimit } from '../../net/nft/source-limit.ts';
import type { PacketFilter } from '../../net/packet-filter.ts';
import type { PodNetwork } from '../../net/pod.ts';
import { createBridgeNetwork } from '../../net/pods/bridge.ts';
import { createCniNetwork } from '../../net/pods/cni.ts';
import { createNftablesProxy } from '../../net/proxies/nftables.ts';
import { createUserspaceProxy } from '../../net/proxies/userspace.ts';
import type { ServiceProxy } from '../../net/service-proxy.ts';
import type { SourceLimit } from '../../net/source-limit.ts';
import {
  announcingLinkOf,
  type Config,
  type Home,
  hostIdOf,
  isSeveralHosts,
  podRangesOf,
  serviceRangesOf,
} from './home.ts';
import { networkBackends } from './network-backends.ts';
import { PluginLinks } from './plugin-links.ts';
import { nthAddress } from './ranges.ts';
import { HostNetwork, knownSubnets } from './roles/host-network.ts';
import { addressesWithin } from './service-settings.ts';

/** Drivers of one host, as its configuration chose them. */
export interface NodeParts {
  readonly runtime: ContainerRuntime;
  /** Absent under the process runtime, whose pods have loopback addresses. */
  readonly network?: PodNetwork | HostNetwork;
  readonly proxy: ServiceProxy;
  /** Of the pods that `network` attaches; nothing is in it until a part asks for it. */
  readonly filter?: PacketFilter;
  /** Of addresses that the host answers for beside its own. */
  readonly announcer?: AddressAnnouncer;
  /** Of what each pod may send to a server of this host. */
  readonly podLimit?: SourceLimit;
  /** The platform's own ways to other hosts. */
  readonly backends: readonly NetworkBackend[];
  /** Removes every container, link and rule of this cluster from the host. */
  purge(): Promise<void>;
}

/** `isConnected`: a plugin makes pods of other hosts reachable, which is waited for. */
export async function createNodeParts(
  home: Home,
  config: Config,
  log: Log = silentLog,
  isConnected = false,
): Promise<NodeParts> {
  const runtime = await createRuntime(home, config, log);
  const network = config.runtime === 'docker' ? createNetwork(home, config, log, isConnected) : undefined;
  const proxy = createProxy(config, log);
  const filter = network && config.proxy === 'nftables' ? createFilter(config, network, log) : undefined;
  const announcer = filter && createAnnouncer({ device: announcingLinkOf(config), exec: systemExec, log });
  const podLimit = filter && createPodLimit(config);
  const backends = networkBackends(home, config);
  const purgeAll = async (): Promise<void> => {
    await purge(runtime, network, proxy, filter);
    await announcer?.purge();
    await podLimit?.purge();
    for (const backend of backends) await backend.purge();
    await new PluginLinks(home, config).purge();
  };
  return { runtime, network, proxy, filter, announcer, podLimit, backends, purge: purgeAll };
}

async function createRuntime(home: Home, config: Config, log: Log): Promise<ContainerRuntime> {
  const seams = { clusterId: hostIdOf(config), clock: systemClock, log };
  if (config.runtime === 'docker') {
    const { createDockerRuntime } = await import('../kubelet/runtimes/docker.ts');
    return createDockerRuntime({
      socketPath: config.engine!.socket,
      stateFolder: home.path('node', 'docker'),
      ...seams,
    });
  }
  const { createProcessRuntime } = await import('../kubelet/runtimes/process.ts');
  return createProcessRuntime({
    folder: home.folder,
    ipPrefix: config.podCidr.split('.').slice(0, 2).join('.'),
    ...seams,
  });
}

const cniFolders = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'];

/** With several hosts it waits for the host's subnets; what a former start had can be removed at once. */
function createNetwork(home: Home, config: Config, log: Log, isConnected: boolean): PodNetwork | HostNetwork {
  const ranges = podRangesOf(config);
  const make = (subnets: readonly string[]): PodNetwork =>
    config.cni
      ? makeCni(config.cni, [subnets, knownSubnets(home), ranges].find((some) => some.length > 0)!)
      : makeBridge(subnets);
  const makeCni = (configFolder: string, subnets: readonly string[]): PodNetwork =>
    createCniNetwork({
      configFolder,
      binFolders: cniFolders,
      stateFolder: home.path('node', 'network'),
      subnets,
      hostAddress: nthAddress(subnets[0]!, 1),
      exec: systemExec,
    });
  const makeBridge = (subnets: readonly string[]): PodNetwork =>
    createBridgeNetwork({
      bridge: config.bridge,
      subnets: subnets.length > 0 ? subnets : ranges,
      podRanges: ranges,
      serviceRanges: serviceRangesOf(config),
      stateFolder: home.path('node', 'network'),
      exec: systemExec,
      tableName: config.podTable,
    });
  return isSeveralHosts(config) ? new HostNetwork({ make, isConnected, log }) : make(ranges);
}

const createFilter = (config: Config, network: PodNetwork | HostNetwork, log: Log): PacketFilter =>
  createNftablesFilter({
    tableName: `pintle_policy_${hostIdOf(config)}`,
    // With CNI nobody knows which links and addresses are pods' alone: its pods are guarded from their gate on.
    localRanges: () => (config.cni ? [] : network instanceof HostNetwork ? network.localRanges : podRangesOf(config)),
    podLinks: config.cni ? [] : [config.bridge],
    exec: systemExec,
    log,
  });

/** Twice what the DNS server answers to one of them (plugins/dns/sources.ts), which says so in its log. */
const createPodLimit = (config: Config): SourceLimit =>
  createSourceLimit({
    tableName: `pintle_limits_${hostIdOf(config)}`,
    sources: podRangesOf(config),
    perSecondMax: 10_000,
    burstMax: 500,
    exec: systemExec,
  });

const createProxy = (config: Config, log: Log): ServiceProxy =>
  config.proxy === 'nftables'
    ? createNftablesProxy({
        tableName: config.serviceTable,
        exec: systemExec,
        serviceRanges: serviceRangesOf(config),
        nodePortRanges: config.nodePortAddresses,
        log,
      })
    : createUserspaceProxy({
        nodeAddresses: addressesWithin(config.nodePortAddresses) ?? [config.nodeIp],
        log,
        clock: systemClock,
      });

async function purge(
  runtime: ContainerRuntime,
  network: PodNetwork | undefined,
  proxy: ServiceProxy,
  filter: PacketFilter | undefined,
): Promise<void> {
  const { sandboxes, containers } = await runtime.observe();
  const uids = new Set([...sandboxes, ...containers].map((one) => one.podUid));
  const ends = await Promise.allSettled([...uids].map((uid) => runtime.removeSandbox(uid)));
  await network?.purge();
  await proxy.purge();
  await filter?.purge();
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
}
