/** `cluster`: one instance, where the controllers run; the others: one instance on each node, in the node's process. */
export const placements = ['cluster', 'every-node', 'named-nodes'] as const;
export type Placement = (typeof placements)[number];
export const isNodeWide = (placement: Placement): placement is Exclude<Placement, 'cluster'> => placement !== 'cluster';

/** Nodes of `named-nodes`: those that are named, and those that have all of these labels. */
export interface NodeChoice {
  readonly names?: readonly string[];
  readonly matchLabels?: Readonly<Record<string, string>>;
}
/** How it is on one node. */
export interface PluginNode {
  readonly name: string;
  readonly phase: 'Starting' | 'Active' | 'Backoff' | 'Failed' | 'Quarantined' | 'Paused';
  readonly version?: string;
  readonly digest?: string;
  readonly restarts: number;
  readonly sandbox: readonly string[];
  readonly message?: string;
  /** Digest of a version that did badly here: it never was ready, crashed too often or hung. */
  readonly gaveUp?: string;
  /** What it provides and this node does not use, with the reason. */
  readonly unused?: readonly string[];
  /** What the object asked for then has been reached, or was given up. */
  readonly observedGeneration: number;
}
/** An object has to stay well below 1.5 MB; beyond, instances run and are not listed. */
export const listedNodesMax = 500;

/** Whether an instance belongs on this node. An empty choice is no node: it may have been forgotten. Pure. */
export function runsOn(
  placement: Placement | undefined,
  choice: NodeChoice | undefined,
  node: { readonly name: string; readonly labels?: Readonly<Record<string, string>> },
): boolean {
  if (placement === 'every-node') return true;
  if (placement !== 'named-nodes') return false;
  const wanted = Object.entries(choice?.matchLabels ?? {});
  const labelled = wanted.length > 0 && wanted.every(([key, value]) => node.labels?.[key] === value);
  return labelled || (choice?.names?.includes(node.name) ?? false);
}

/** Upgrades go from node to node by name: this one is next when those before it have reached the generation and are well. Pure. */
export const isNext = (nodes: readonly PluginNode[], name: string, generation: number): boolean =>
  nodes.every((one) => one.name >= name || (one.phase === 'Active' && one.observedGeneration >= generation));

export interface Overall {
  readonly phase: PluginNode['phase'];
  readonly message: string;
  readonly restarts: number;
  /** In force on every node. */
  readonly sandbox: readonly string[];
  /** All are well and have what was asked for. */
  readonly done: boolean;
}
/** From worst to best: the plugin as a whole is as its worst instance. */
const order = ['Quarantined', 'Failed', 'Backoff', 'Paused', 'Starting', 'Active'] as const;

/** Its instances taken together. `expected`: names of the nodes that it belongs on. Pure. */
export function overallOf(nodes: readonly PluginNode[], expected: readonly string[], generation: number): Overall {
  const there = nodes.filter(({ name }) => expected.includes(name));
  const absent = expected.filter((name) => there.every((one) => one.name !== name));
  const behind = there.filter(({ observedGeneration }) => observedGeneration < generation);
  const worst = order.find((phase) => there.some((one) => one.phase === phase)) ?? 'Starting';
  const waits = absent.length > 0 || behind.length > 0;
  const phase = worst === 'Active' && (waits || expected.length === 0) ? 'Starting' : worst;
  const ill = there.filter((one) => one.phase !== 'Active');
  const words = [
    ...ill.map((one) => `${one.name}: ${one.phase}${one.message ? `, ${one.message}` : ''}`),
    ...absent.map((name) => `${name}: not yet`),
    ...behind.filter((one) => one.phase === 'Active').map(({ name }) => `${name}: waits for its turn`),
    ...(expected.length === 0 ? ['no node is chosen by spec.nodes'] : []),
  ];
  const said = words.slice(0, 3).join('; ') + (words.length > 3 ? `; and ${words.length - 3} more` : '');
  return {
    phase,
    message: said,
    restarts: there.reduce((sum, one) => sum + one.restarts, 0),
    sandbox: (there[0]?.sandbox ?? []).filter((fact) => there.every((one) => one.sandbox.includes(fact))),
    done: phase === 'Active',
  };
}
