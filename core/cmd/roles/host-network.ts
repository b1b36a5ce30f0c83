import { type Kind, type KubeObject, type Node, nodeKind } from '#api';
import type { Log } from '#base';
import type { InformerFactory } from '#client';
import type { PodAttachment, PodNetwork, PodToAttach } from '../../../net/pod.ts';
import type { Home } from '../home.ts';

const subnetsFile = 'node/subnets.json';
/** The subnets that this host was given, as its last start learnt them. */
export function knownSubnets(home: Home): readonly string[] {
  try {
    return JSON.parse(home.readFile(subnetsFile) ?? '[]') as string[];
  } catch {
    return [];
  }
}

/**
 * The pod network of one host of several: it exists once the cluster has given the host its subnets, and takes pods once
 * the way to other hosts is ready. Until then new pods wait, with the reason; those that run are left alone.
 */
export class HostNetwork implements PodNetwork {
  readonly name = 'host';
  readonly #handlers = new Set<() => void>();
  readonly #settled = Promise.withResolvers<readonly string[]>();
  #inner: PodNetwork | undefined;
  #isPrepared = false;
  #why: string | undefined;
  #mtuBytes: number | undefined;

  constructor(
    private readonly options: {
      readonly make: (subnets: readonly string[]) => PodNetwork;
      /** A plugin connects the hosts, and says when it does. */
      readonly isConnected: boolean;
      readonly log: Log;
    },
  ) {
    if (options.isConnected) this.#why = 'the overlay has not started yet';
  }

  /** Resolves to this host's subnets. */
  get subnets(): Promise<readonly string[]> {
    return this.#settled.promise;
  }
  /** This host's subnets, as far as they are known. */
  localRanges: readonly string[] = [];
  /** Why pods of this host cannot have a network now. */
  notReady = (): string | undefined => {
    if (!this.#inner) return 'this node has not been given a subnet yet';
    return this.#isPrepared ? this.#why : 'the bridge of this host is not ready yet';
  };
  onChange = (handler: () => void): void => void this.#handlers.add(handler);
  /** From the plugin that connects the hosts: why it does not now, or nothing when it does. */
  report = (why: string | undefined): void => {
    if (this.#why === why) return;
    this.#why = why;
    this.#changed();
  };

  /** Once; the host's subnets never change. */
  settle(subnets: readonly string[]): void {
    if (this.#inner) return;
    this.localRanges = subnets;
    this.#inner = this.options.make(subnets);
    this.#settled.resolve(subnets);
    void this.prepare().catch((error: unknown) => this.options.log.error('pod network not ready', { error }));
  }

  async prepare(): Promise<void> {
    if (!this.#inner) return;
    await this.#inner.prepare();
    if (this.#mtuBytes !== undefined && !this.#isPrepared) await this.#inner.setMtu?.(this.#mtuBytes);
    if (this.#isPrepared) return;
    this.#isPrepared = true;
    this.#changed();
  }
  setMtu = async (mtuBytes: number): Promise<void> => {
    this.#mtuBytes = mtuBytes;
    await this.#inner?.setMtu?.(mtuBytes);
  };
  async attach(pod: PodToAttach): Promise<PodAttachment> {
    const why = this.notReady();
    if (why !== undefined || !this.#inner) throw new Error(`network is not ready: ${why}`);
    return this.#inner.attach(pod);
  }
  async detach(pod: { uid: string; netnsPath?: string }): Promise<void> {
    await this.#inner?.detach(pod);
  }
  async attached(): Promise<{ uid: string; ips: readonly string[] }[]> {
    return (await this.#inner?.attached()) ?? [];
  }
  /** Names are enough to remove what a former start left. */
  async purge(): Promise<void> {
    await (this.#inner ?? this.options.make([])).purge();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner?.[Symbol.asyncDispose]();
  }
  #changed(): void {
    for (const handler of this.#handlers) handler();
  }
}

/** Reads the host's subnets from its Node; what a former start learnt holds at once. */
export function followSubnets(
  network: HostNetwork,
  { home, nodeName, informers, log }: { home: Home; nodeName: string; informers: InformerFactory; log: Log },
): void {
  const known = knownSubnets(home);
  if (known.length > 0) network.settle(known);
  const nodes = informers.informer(nodeKind as Kind<Node & KubeObject>, { fieldSelector: `metadata.name=${nodeName}` });
  nodes.onChange(({ object }) => {
    const subnets = subnetsOf(object);
    if (subnets.length === 0) return;
    const text = JSON.stringify(subnets);
    if (text === JSON.stringify(knownSubnets(home))) return;
    if (knownSubnets(home).length > 0)
      log.error('the cluster has other subnets for this host than it works with; it takes them at its next start', {
        subnets: text,
      });
    home.writeFile(subnetsFile, text);
    network.settle(subnets);
  });
}

/** `spec.podCIDRs`, or the older single one. */
export const subnetsOf = ({ spec }: Readonly<Node>): readonly string[] =>
  spec?.podCIDRs?.length ? spec.podCIDRs : spec?.podCIDR ? [spec.podCIDR] : [];
