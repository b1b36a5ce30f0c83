import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Exec } from '#base';
import { type CniCall, CniChain, type CniList, type CniResult, loadCniList } from '../cni/chain.ts';
import { CniLeavings } from '../cni/leavings.ts';
import type { PodAttachment, PodNetwork, PodToAttach } from '../pod.ts';

export interface CniNetworkOptions {
  /** Such as /etc/cni/net.d; the first list by name is used. */
  readonly configFolder: string;
  /** Such as /opt/cni/bin and /usr/lib/cni. */
  readonly binFolders: readonly string[];
  readonly stateFolder: string;
  /** This host's pod addresses (CIDR), for plugins that declare the capability `ipRanges`. */
  readonly subnets?: readonly string[];
  /** The host has it from the start, so that programs of the host may listen there for pods. */
  readonly hostAddress?: string;
  /** Runs in the host's network namespace. */
  readonly exec: Exec;
}
/** Kept for each pod: DEL must get the configuration and the result of its ADD, whatever the folder holds by then. */
interface CachedAttachment {
  readonly uid: string;
  readonly list: CniList;
  readonly call: CniCall;
  /** Tells this namespace from a later one at the same path. */
  readonly netnsInode: number;
  /** Absent while ADD runs: after a crash in it only DEL can tell what is there. */
  readonly result?: CniResult;
}

/** Pods' networks by CNI plugins. */
export function createCniNetwork(options: CniNetworkOptions): PodNetwork {
  return new CniNetwork(options);
}

class CniNetwork implements PodNetwork {
  readonly name = 'cni';
  readonly #folder: string;
  readonly #options: CniNetworkOptions;
  readonly #leavings: CniLeavings;

  constructor(options: CniNetworkOptions) {
    this.#options = options;
    this.#folder = join(options.stateFolder, 'cni');
    mkdirSync(this.#folder, { recursive: true });
    this.#leavings = new CniLeavings(options.stateFolder, options.exec);
  }

  /** The host side is the plugins' own work: they are asked whether they can, and told what may go. */
  async prepare(): Promise<void> {
    const chain = this.#chain(loadCniList(this.#options.configFolder));
    await this.#leavings.begin();
    await chain.status();
    await chain.collect(this.#all().map(({ call }) => call));
    const { hostAddress } = this.#options;
    if (hostAddress) await this.#options.exec.run(['ip', 'address', 'replace', `${hostAddress}/32`, 'dev', 'lo']);
  }

  async attach(pod: PodToAttach): Promise<PodAttachment> {
    const cached = this.#read(pod.uid);
    if (cached) {
      const same = cached.netnsInode === inodeOf(pod.netnsPath);
      if (same && cached.result && (await this.#chain(cached.list).check(cached.call, cached.result)))
        return attachmentOf(cached.result);
      await this.detach({ uid: pod.uid });
    }
    const list = loadCniList(this.#options.configFolder);
    const netnsInode = inodeOf(pod.netnsPath);
    const call = callOf(pod, netnsInode, this.#options.subnets ?? []);
    this.#write({ uid: pod.uid, list, call, netnsInode });
    const lo = await this.#options.exec.run(['ip', 'link', 'set', 'dev', 'lo', 'up'], { netns: pod.netnsPath });
    if (lo.code !== 0) throw new Error(`cannot bring the loopback of pod ${pod.uid} up: ${lo.stderr.trim()}`);
    try {
      const result = await this.#chain(list).add(call);
      this.#write({ uid: pod.uid, list, call, netnsInode, result });
      this.#leavings.note(list, result);
      return attachmentOf(result);
    } catch (error) {
      await this.detach({ uid: pod.uid }).catch(() => {}); // the cause is the ADD's failure; the cached call lets a later detach try again
      throw error;
    }
  }

  async detach(pod: { uid: string }): Promise<void> {
    const cached = this.#read(pod.uid);
    if (!cached) return;
    const gone = inodeOf(cached.call.netnsPath) !== cached.netnsInode; // plugins take an empty path as "the namespace is gone"
    await this.#chain(cached.list).remove(gone ? { ...cached.call, netnsPath: '' } : cached.call, cached.result);
    rmSync(this.#path(pod.uid), { force: true });
  }

  async attached(): Promise<{ uid: string; ips: readonly string[] }[]> {
    return this.#all().map(({ uid, result }) => ({ uid, ips: result ? attachmentOf(result).ips : [] }));
  }

  async purge(): Promise<void> {
    const ends = await Promise.allSettled(this.#all().map(({ uid }) => this.detach({ uid })));
    const failed = ends.find((end) => end.status === 'rejected');
    const { hostAddress } = this.#options;
    if (hostAddress) await this.#options.exec.run(['ip', 'address', 'delete', `${hostAddress}/32`, 'dev', 'lo']);
    if (failed) throw failed.reason; // the records stay: purge can be repeated
    await this.#leavings.remove();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose]() {}

  #chain(list: CniList): CniChain {
    return new CniChain(list, this.#options.binFolders, this.#options.exec);
  }
  #path(uid: string): string {
    if (!/^[\w.-]+$/.test(uid)) throw new Error(`${uid} is no pod uid`);
    return join(this.#folder, `${uid}.json`);
  }
  #read(uid: string): CachedAttachment | undefined {
    const path = this.#path(uid);
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as CachedAttachment) : undefined;
  }
  #write(attachment: CachedAttachment): void {
    const path = this.#path(attachment.uid);
    mkdirSync(this.#folder, { recursive: true });
    writeFileSync(`${path}.new`, JSON.stringify(attachment), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
  #all(): CachedAttachment[] {
    if (!existsSync(this.#folder)) return [];
    return readdirSync(this.#folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(readFileSync(join(this.#folder, name), 'utf8')) as CachedAttachment);
  }
}

const inodeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.ino ?? 0;

/** The id differs for each sandbox of a pod: plugins name their rules by it, and may still hold those of a dead one. */
function callOf(pod: PodToAttach, netnsInode: number, subnets: readonly string[]): CniCall {
  const { ingressBps, egressBps } = pod.bandwidth ?? {};
  return {
    containerId: `${pod.uid}-${netnsInode}`,
    netnsPath: pod.netnsPath,
    interfaceName: 'eth0',
    args: {
      K8S_POD_NAMESPACE: pod.namespace ?? '',
      K8S_POD_NAME: pod.name ?? '',
      K8S_POD_INFRA_CONTAINER_ID: `${pod.uid}-${netnsInode}`,
      K8S_POD_UID: pod.uid,
    },
    runtimeConfig: {
      ...(subnets.length > 0 ? { ipRanges: subnets.map((subnet) => [{ subnet }]) } : {}),
      ...(pod.hostPorts?.length
        ? {
            portMappings: pod.hostPorts.map((port) => ({
              hostPort: port.hostPort,
              containerPort: port.podPort,
              protocol: port.protocol,
              ...(port.hostIp ? { hostIP: port.hostIp } : {}),
            })),
          }
        : {}),
      ...(pod.bandwidth
        ? {
            bandwidth: {
              ...(ingressBps === undefined ? {} : { ingressRate: ingressBps, ingressBurst: burstBits }),
              ...(egressBps === undefined ? {} : { egressRate: egressBps, egressBurst: burstBits }),
            },
          }
        : {}),
    },
  };
}
const burstBits = 2 ** 31 - 1; // what Kubernetes' engines pass: the largest that tbf takes

/** Addresses inside the pod alone: results also tell of the host's ends. */
export function attachmentOf(result: CniResult): PodAttachment {
  const { interfaces = [], ip4, ip6 } = result;
  const inside = (result.ips ?? []).filter(
    ({ interface: index }) => index === undefined || interfaces[index]?.sandbox || !interfaces[index],
  );
  const former = [ip4, ip6].flatMap((one) => (one ? [{ address: one.ip, gateway: one.gateway }] : []));
  const all = inside.length > 0 ? inside : former;
  const gateway = all.find((each) => each.gateway)?.gateway;
  return { ips: all.map((each) => each.address.split('/')[0]!), ...(gateway ? { gateway } : {}) };
}
