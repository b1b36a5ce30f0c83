import type { Node, Pod } from '#api';
import type { Cache } from '#client';
import type { NodeInfo } from '#sdk';
import { nodeInfoOf } from './node-info.ts';

export const byNode = 'scheduler.nodeName';
export const occupies = (pod: Readonly<Pod>): boolean =>
  pod.status?.phase !== 'Succeeded' && pod.status?.phase !== 'Failed';

/** Node infos kept between cycles; only nodes that changed are summed again. Assumed pods count from the moment of the decision. */
export class Snapshot {
  readonly #infos = new Map<string, NodeInfo>();
  readonly #assumed = new Map<string, { pod: Readonly<Pod>; node: string }>();
  readonly #nominated = new Map<string, { pod: Readonly<Pod>; node: string }>();

  constructor(
    private readonly nodes: Cache<Node>,
    private readonly pods: Cache<Pod>,
  ) {}

  /** Marks a node as changed. */
  touch(nodeName: string | undefined): void {
    if (nodeName) this.#infos.delete(nodeName);
  }

  assume(pod: Readonly<Pod>, node: string): void {
    this.#assumed.set(pod.metadata.uid!, { pod, node });
    this.touch(node);
  }
  /** The binding failed, or the informer shows the pod on its node. */
  forget(uid: string): void {
    const assumed = this.#assumed.get(uid);
    this.#assumed.delete(uid);
    this.touch(assumed?.node);
  }
  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid);
  }

  /** Room on this node is kept for a pod that waits for others to go; undefined: for none any more. */
  nominate(pod: Readonly<Pod>, node: string | undefined): void {
    if (node) this.#nominated.set(pod.metadata.uid!, { pod, node });
    else this.#nominated.delete(pod.metadata.uid!);
  }
  nominationOf(pod: Readonly<Pod>): string | undefined {
    return this.#nominated.get(pod.metadata.uid!)?.node;
  }
  nominatedOn(node: string): Readonly<Pod>[] {
    if (this.#nominated.size === 0) return [];
    return [...this.#nominated.values()].filter((one) => one.node === node).map(({ pod }) => pod);
  }

  infos(): NodeInfo[] {
    const assumed = Map.groupBy(this.#assumed.values(), ({ node }) => node);
    return this.nodes.list().map((node) => {
      const name = node.metadata.name!;
      const known = this.#infos.get(name);
      if (known) return known;
      const bound = this.pods.byIndex(byNode, name).filter(occupies);
      const extra = (assumed.get(name) ?? [])
        .map(({ pod }) => pod)
        .filter((pod) => !bound.some((one) => one.metadata.uid === pod.metadata.uid));
      const info = nodeInfoOf(node, [...bound, ...extra]);
      this.#infos.set(name, info);
      return info;
    });
  }
}
