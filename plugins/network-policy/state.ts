import {
  type AllowRule,
  type api,
  type Direction,
  type ElementChange,
  type Family,
  type FilterChain,
  type FilterChange,
  familyOf,
  floodedRanges,
  type SetKind,
  standingNames,
} from '#sdk';
import type { PodFacts } from './facts.ts';
import { Group, type GroupSpec, groupKey } from './groups.ts';
import { shortName } from './names.ts';
import { OwnedElements } from './owned-elements.ts';
import { dropFrom, membersOf, Pods } from './pods.ts';
import { allowRules, directionsOf, type SetNames } from './rules.ts';

type Spec = Readonly<api.NetworkPolicySpec>;
type Labels = Readonly<Record<string, string>>;
interface Policy {
  readonly namespace: string;
  readonly spec: Spec;
  readonly target: Group;
  readonly directions: readonly Direction[];
}
/** A set of the table, and what each pod contributes to it. */
interface LiveSet {
  readonly kind: SetKind;
  readonly elements: OwnedElements;
  elementsOf(pod: PodFacts, ips: readonly string[]): string[];
  uses: number;
}
interface InForce {
  readonly sets: readonly string[];
  readonly groups: readonly Group[];
  readonly chains: readonly string[];
}
const directions = ['in', 'out'] as const;

/**
 * Policies × pods × namespaces → the packet filter of one host, by deltas: what is told marks what it touches, and a look
 * at the outcome computes that alone. Only policies that select a pod of this host are in the table.
 */
export class PolicyState {
  readonly #families: readonly Family[];
  readonly #pods = new Pods();
  readonly #namespaces = new Map<string, Labels>();
  readonly #policies = new Map<string, Policy>();
  readonly #groups = new Map<string, Group>();
  /** Groups that a pod of this host is in and some policy is about. */
  readonly #targetsOf = new Map<string, Set<Group>>();
  readonly #sets = new Map<string, LiveSet>();
  readonly #standing = new Map<string, OwnedElements>();
  readonly #chains = new Map<string, { chain: FilterChain; uses: number }>();
  /** By policy: what its chains hold in use. */
  readonly #inForce = new Map<string, InForce>();
  readonly #guards = new Map<string, readonly string[]>();
  /** Pods that are reached under other ports than their own. */
  readonly #translated = new Set<string>();
  readonly #dirtyPods = new Set<string>();
  readonly #dirtyPolicies = new Set<string>();
  /** What was there when the changes were asked for last, of the names that were touched since: a look costs what changed. */
  readonly #setsBefore = new Map<string, boolean>();
  readonly #chainsBefore = new Map<string, FilterChain | undefined>();
  readonly #elementsTouched = new Set<string>();

  constructor(options: { readonly families: readonly Family[] }) {
    this.#families = options.families;
    for (const family of this.#families)
      for (const name of [
        standingNames.known(family),
        standingNames.self(family),
        standingNames.flooded(family),
        ...directions.map((direction) => standingNames.guarded(direction, family)),
      ])
        this.#standing.set(name, new OwnedElements());
  }

  setNamespace(name: string, labels: Labels | undefined): void {
    if (labels) this.#namespaces.set(name, labels);
    else this.#namespaces.delete(name);
    for (const pod of this.#pods.inNamespace(name)) this.#regroup(pod.key);
  }

  /** `isNew`: not the pod that had this name before. */
  setPod(key: string, facts: PodFacts | undefined, isNew = false): void {
    const former = this.#pods.get(key);
    for (const touched of this.#pods.set(key, facts, isNew)) this.#dirtyPods.add(touched);
    this.#regroup(key);
    if (facts?.translated) this.#translated.add(key);
    else this.#translated.delete(key);
    if ((former?.translated ?? facts?.translated) && !Bun.deepEquals(former?.translated, facts?.translated))
      for (const [name, policy] of this.#policies) if (policy.spec.egress) this.#dirtyPolicies.add(name);
  }

  setPolicy(key: string, namespace: string, spec: Spec | undefined): void {
    const former = this.#policies.get(key);
    this.#dirtyPolicies.add(key);
    const target = spec && this.#use({ namespace, podSelector: spec.podSelector });
    if (spec && target) this.#policies.set(key, { namespace, spec, target, directions: directionsOf(spec) });
    else this.#policies.delete(key);
    target?.policies.add(key);
    for (const pod of target?.locals ?? []) this.#retarget(target!, pod);
    if (!former) return;
    if (former.target !== target) former.target.policies.delete(key);
    for (const pod of former.target.locals) this.#retarget(former.target, pod);
    this.#release(former.target);
  }

  /** What changed since the last call. */
  changed(): FilterChange {
    this.#settle();
    const setsAdded = new Map<string, SetKind>();
    const setsRemoved: string[] = [];
    for (const [name, was] of this.#setsBefore) {
      const set = this.#sets.get(name);
      if (set && !was) setsAdded.set(name, set.kind);
      else if (!set && was) setsRemoved.push(name);
    }
    const chains = new Map<string, FilterChain>();
    const chainsRemoved: string[] = [];
    for (const [name, was] of this.#chainsBefore) {
      const chain = this.#chains.get(name)?.chain;
      if (chain && chain !== was) chains.set(name, chain);
      else if (!chain && was) chainsRemoved.push(name);
    }
    const elements = new Map<string, ElementChange>();
    for (const name of this.#elementsTouched) {
      const change = (this.#standing.get(name) ?? this.#sets.get(name)?.elements)?.take();
      if (change) elements.set(name, change);
    }
    for (const touched of [this.#setsBefore, this.#chainsBefore, this.#elementsTouched]) touched.clear();
    return { setsAdded, setsRemoved, chains, chainsRemoved, elements };
  }

  /** Everything, for a table that is empty. */
  whole(): FilterChange {
    this.changed();
    const elements = new Map<string, ElementChange>();
    const all = [...this.#standing, ...[...this.#sets].map(([name, set]) => [name, set.elements] as const)];
    for (const [name, owned] of all) if (owned.size > 0) elements.set(name, { removed: [], added: owned.all() });
    return {
      setsAdded: new Map([...this.#sets].map(([name, { kind }]) => [name, kind])),
      setsRemoved: [],
      chains: new Map([...this.#chains].map(([name, { chain }]) => [name, chain])),
      chainsRemoved: [],
      elements,
    };
  }

  #settle(): void {
    this.#recompile(this.#dirtyPolicies);
    this.#dirtyPolicies.clear();
    for (const key of this.#dirtyPods) this.#place(key);
    this.#dirtyPods.clear();
  }

  /** Which groups a pod is in. */
  #regroup(key: string): void {
    const pod = this.#pods.get(key);
    this.#dirtyPods.add(key);
    for (const group of this.#groups.values()) this.#assign(group, key, pod);
  }
  #assign(group: Group, key: string, pod: PodFacts | undefined): void {
    const isMember = pod !== undefined && group.matches(pod, this.#namespaces.get(pod.namespace));
    if (isMember) group.members.add(key);
    else group.members.delete(key);
    const isLocal = isMember && pod.isLocal;
    if (isLocal !== group.locals.has(key)) {
      if (isLocal) group.locals.add(key);
      else group.locals.delete(key);
      this.#retarget(group, key);
      for (const name of group.policies) this.#dirtyPolicies.add(name);
    }
  }
  #retarget(group: Group, pod: string): void {
    this.#dirtyPods.add(pod);
    if (group.policies.size > 0 && group.locals.has(pod)) membersOf(this.#targetsOf, pod).add(group);
    else dropFrom(this.#targetsOf, pod, group);
  }

  #use(spec: GroupSpec): Group {
    const key = groupKey(spec);
    let group = this.#groups.get(key);
    if (!group) {
      this.#groups.set(key, (group = new Group(key, spec)));
      for (const pod of this.#pods.all()) this.#assign(group, pod.key, pod);
    }
    group.uses++;
    return group;
  }
  #release(group: Group): void {
    if (--group.uses === 0) this.#groups.delete(group.key);
  }

  /** The chains of policies, and the sets that they read. What stays is held anew before the former hold is let go. */
  #recompile(keys: Iterable<string>): void {
    const formers: InForce[] = [];
    for (const key of keys) {
      const former = this.#inForce.get(key);
      if (former) formers.push(former);
      this.#inForce.delete(key);
      const policy = this.#policies.get(key);
      if (policy && policy.target.locals.size > 0) this.#inForce.set(key, this.#compile(key, policy));
    }
    for (const { chains, sets, groups } of formers) {
      for (const name of chains) this.#letGo(name);
      for (const name of sets) this.#dropSet(name);
      for (const group of groups) this.#release(group);
    }
  }
  #compile(key: string, policy: Policy): InForce {
    const groups: Group[] = [];
    const sets: string[] = [];
    const names = this.#names(groups, sets);
    const chains = policy.directions.map((direction) => {
      const rules = allowRules(policy.namespace, policy.spec, direction, names);
      return this.#hold(policyChain(key, direction), { type: 'allow', rules: distinct(rules) });
    });
    return { groups, sets, chains };
  }

  #names(groups: Group[], sets: string[]): SetNames {
    const live = (name: string, kind: SetKind, elementsOf: LiveSet['elementsOf']) => {
      sets.push(name);
      const present = this.#sets.get(name);
      if (present) present.uses++;
      else this.#fill(name, { kind, elements: new OwnedElements(), elementsOf, uses: 1 });
      return name;
    };
    return {
      families: this.#families,
      group: (spec, family) => {
        const group = this.#use(spec);
        groups.push(group);
        return live(`g${shortName(group.key)}_${family}`, { type: 'address', family }, (pod, ips) =>
          group.members.has(pod.key) ? ips.filter((ip) => familyOf(ip) === family) : [],
        );
      },
      named: (name, protocol, family) =>
        live(`n${shortName(`${name}/${protocol}`)}_${family}`, { type: 'endpoint', family }, (pod, ips) =>
          endpoints(
            ips,
            family,
            pod.ports.filter((each) => each.name === name && each.protocol === protocol),
          ),
        ),
      translated: (protocol, [first, last], family) => {
        const meant = (pod: PodFacts) =>
          (pod.translated ?? []).filter(
            (each) => each.protocol === protocol && each.port >= first && each.port <= last,
          );
        if (![...this.#translated].some((key) => meant(this.#pods.get(key)!).length > 0)) return undefined;
        return live(`x${protocol}_${first}_${last}_${family}`, { type: 'endpoint', family }, (pod, ips) =>
          endpoints(
            ips,
            family,
            meant(pod).map(({ realPort }) => ({ protocol, port: realPort })),
          ),
        );
      },
    };
  }
  #fill(name: string, set: LiveSet): void {
    if (!this.#setsBefore.has(name)) this.#setsBefore.set(name, false);
    this.#sets.set(name, set);
    this.#elementsTouched.add(name);
    for (const pod of this.#pods.all()) set.elements.update(pod.key, set.elementsOf(pod, this.#pods.ipsOf(pod.key)));
  }
  #dropSet(name: string): void {
    if (--this.#sets.get(name)!.uses > 0) return;
    if (!this.#setsBefore.has(name)) this.#setsBefore.set(name, true);
    this.#sets.delete(name);
  }

  /** One pod: its elements in every set, and the chain that guards it. */
  #place(key: string): void {
    const pod = this.#pods.get(key);
    const ips = this.#pods.ipsOf(key);
    for (const [name, set] of this.#sets)
      if (set.elements.update(key, pod ? set.elementsOf(pod, ips) : [])) this.#elementsTouched.add(name);
    const policies = [...(this.#targetsOf.get(key) ?? [])].flatMap((group) => [...group.policies]).sort();
    const guards = directions.map((direction) => {
      const allow = policies
        .filter((name) => this.#policies.get(name)!.directions.includes(direction))
        .map((name) => policyChain(name, direction));
      return allow.length > 0 ? this.#hold(guardChain(allow, direction), { type: 'guard', allow }) : undefined;
    });
    for (const name of this.#guards.get(key) ?? []) this.#letGo(name);
    const held = guards.filter((name) => name !== undefined);
    if (held.length > 0) this.#guards.set(key, held);
    else this.#guards.delete(key);
    for (const family of this.#families) {
      const own = pod?.isLocal ? ips.filter((ip) => familyOf(ip) === family) : [];
      this.#put(standingNames.known(family), key, own);
      this.#put(
        standingNames.self(family),
        key,
        own.map((ip) => `${ip} . ${ip}`),
      );
      this.#put(standingNames.flooded(family), key, guards[0] && own.length > 0 ? floodedRanges[family] : []);
      directions.forEach((direction, index) => {
        const chain = guards[index];
        this.#put(standingNames.guarded(direction, family), key, chain ? own.map((ip) => `${ip} : goto ${chain}`) : []);
      });
    }
  }
  #put(name: string, owner: string, elements: readonly string[]): void {
    if (this.#standing.get(name)!.update(owner, elements)) this.#elementsTouched.add(name);
  }

  #hold(name: string, chain: FilterChain): string {
    const present = this.#chains.get(name);
    if (!this.#chainsBefore.has(name)) this.#chainsBefore.set(name, present?.chain);
    if (!present) this.#chains.set(name, { chain, uses: 1 });
    else {
      present.uses++;
      if (!Bun.deepEquals(present.chain, chain)) present.chain = chain;
    }
    return name;
  }
  #letGo(name: string): void {
    const present = this.#chains.get(name)!;
    if (--present.uses > 0) return;
    if (!this.#chainsBefore.has(name)) this.#chainsBefore.set(name, present.chain);
    this.#chains.delete(name);
  }
}

const policyChain = (key: string, direction: Direction): string => `policy_${direction}_${shortName(key)}`;
/** Pods under the same policies share one. */
const guardChain = (allow: readonly string[], direction: Direction): string =>
  `pod_${direction}_${shortName(allow.join(' '))}`;
const endpoints = (
  ips: readonly string[],
  family: Family,
  ports: readonly { readonly protocol: string; readonly port: number }[],
): string[] =>
  ips
    .filter((ip) => familyOf(ip) === family)
    .flatMap((ip) => ports.map(({ protocol, port }) => `${ip} . ${protocol} . ${port}`));
const distinct = (rules: readonly AllowRule[]): AllowRule[] => [
  ...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values(),
];
