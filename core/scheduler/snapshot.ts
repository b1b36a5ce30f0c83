import type { Node, Pod } from '#api';
import type { NodeInfo } from '#sdk';
import { type Amounts, allocatableOf, requestsOf, sumOf } from './pod-requests.ts';

interface Place {
  readonly pod: Readonly<Pod>;
  readonly node: string;
  readonly requests: Amounts;
}

/** Nodes and what runs on them, with placements that are decided but not yet seen. Only touched nodes are built anew. */
export class Snapshot {
  readonly #nodes = new Map<string, Readonly<Node>>();
  readonly #places = new Map<string, Place>();
  readonly #byNode = new Map<string, Map<string, Place>>();
  readonly #infos = new Map<string, NodeInfo>();
  readonly #assumed = new Set<string>();

  setNode(node: Readonly<Node>): void {
    this.#nodes.set(node.metadata.name!, node);
    this.#infos.delete(node.metadata.name!);
  }
  removeNode(name: string): void {
    this.#nodes.delete(name);
    this.#infos.delete(name);
  }
  /** Takes a pod as the API shows it. An assumed placement stands until the API shows it or it is forgotten. */
  setPod(pod: Readonly<Pod>): void {
    const uid = pod.metadata.uid!;
    const isFinished = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    const node = pod.spec?.nodeName;
    if (!node && this.#assumed.has(uid) && !isFinished) return;
    this.removePod(uid);
    if (node && !isFinished) this.#place(pod, node);
  }
  assume(pod: Readonly<Pod>, node: string): void {
    this.removePod(pod.metadata.uid!);
    this.#place(pod, node);
    this.#assumed.add(pod.metadata.uid!);
  }
  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid);
  }
  removePod(uid: string): void {
    this.#assumed.delete(uid);
    const place = this.#places.get(uid);
    if (!place) return;
    this.#places.delete(uid);
    this.#byNode.get(place.node)?.delete(uid);
    this.#infos.delete(place.node);
  }
  nodes(): NodeInfo[] {
    return [...this.#nodes.keys()].sort().map((name) => this.#info(name));
  }

  #place(pod: Readonly<Pod>, node: string): void {
    const place = { pod, node, requests: requestsOf(pod) };
    this.#places.set(pod.metadata.uid!, place);
    let there = this.#byNode.get(node);
    if (!there) this.#byNode.set(node, (there = new Map()));
    there.set(pod.metadata.uid!, place);
    this.#infos.delete(node);
  }
  #info(name: string): NodeInfo {
    let info = this.#infos.get(name);
    if (!info) {
      const node = this.#nodes.get(name)!;
      const places = [...(this.#byNode.get(name)?.values() ?? [])];
      info = {
        node,
        pods: places.map((place) => place.pod),
        requested: sumOf(places.map((place) => place.requests)),
        allocatable: allocatableOf(node.status?.allocatable),
      };
      this.#infos.set(name, info);
    }
    return info;
  }
}
