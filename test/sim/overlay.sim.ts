import { expect, test } from 'bun:test';
import { type KubeObject, type Node, nodeKind } from '#api';
import { Scope, silentLog } from '#base';
import type { NodePartContext } from '#sdk';
import { createInformers } from '../../core/client/cache-informer.ts';
import { extensionOf } from '../../core/testing/author/extension.ts';
import { type World, world } from '../../core/testing/index.ts';
import { fork } from '../../core/testing/process.ts';
import { HostAgent } from '../../plugins/overlay/host-agent.ts';
import { type HostLease, hostLeaseKind, networkName, overlayNetworkKind } from '../../plugins/overlay/kinds.ts';
import { Fabric } from '../fixtures/fake-overlay.ts';

const plugins = [
  { name: 'crd', enabled: true, api: () => import('../../plugins/crd/api.ts') },
  {
    name: 'overlay',
    enabled: true,
    requires: ['crd'],
    api: () => import('../../plugins/overlay/api.ts'),
    controllers: () => import('../../plugins/overlay/plugin.ts'),
  },
];
const ranges = ['10.64.0.0/12', 'fd00:64::/48'];
/** As many hosts look at one copy of the objects: a copy for each would only test the machine's memory. */
const hostsOfCopy = 50;

/** Hosts without kubelets: their Nodes, and the overlay's part on each, on one played network. */
class Hosts {
  readonly fabric: Fabric;
  readonly #scopes = new Map<string, Scope>();
  #copy: { readonly informers: ReturnType<typeof createInformers>; hosts: number } | undefined;
  constructor(private readonly w: World) {
    this.fabric = new Fabric(w.clock);
  }
  get names(): string[] {
    return [...this.#scopes.keys()];
  }
  async join(name: string): Promise<void> {
    const { w } = this;
    const client = w.directClient;
    const status = { conditions: [{ type: 'Ready', status: 'True' }] };
    await client.create(nodeKind, { metadata: { name }, status } as Node & KubeObject);
    if (!this.#copy || this.#copy.hosts >= hostsOfCopy) {
      const seams = { clock: w.clock, random: fork(w.seed, `copy ${name}`), log: silentLog };
      this.#copy = { informers: createInformers({ client, ...seams, signal: new AbortController().signal }), hosts: 0 };
    }
    this.#copy.hosts++;
    const scope = new Scope();
    this.#scopes.set(name, scope);
    const number = Number(name.slice(1));
    const nodeIp = `198.18.${Math.floor(number / 250)}.${(number % 250) + 1}`;
    const agent = new HostAgent({
      ...{ client, informers: this.#copy.informers, clock: w.clock, random: fork(w.seed, name), log: silentLog },
      ...{ scope, nodeName: name, folder: '/none', backends: this.fabric.of(name, ['wireguard', 'vxlan']) },
      network: { setMtu: async () => {}, report: () => {}, ownAddresses: () => [nodeIp] },
      underlay: { nodeIp, links: async () => [{ link: 'eth0', cidr: `${nodeIp}/15`, mtuBytes: 1_500 }] },
    } as unknown as NodePartContext);
    void agent.run();
  }
  async leave(name: string): Promise<void> {
    void this.#scopes.get(name)?.[Symbol.asyncDispose]();
    this.#scopes.delete(name);
    await this.w.directClient.delete(nodeKind, { name });
  }
  /** Pairs, in both directions, that have no way; those of `few` hosts with all others. */
  broken(few = 20): string[] {
    const { names } = this;
    const step = Math.max(1, Math.floor(names.length / few));
    const some = names.filter((_, index) => index % step === 0);
    return some.flatMap((one) =>
      names
        .filter((other) => other !== one)
        .flatMap((other) => [this.fabric.path(one, other), this.fabric.path(other, one)])
        .filter((path) => typeof path === 'string'),
    );
  }
}

const booted = async (seed: number) => {
  await Promise.all(plugins.flatMap(({ api, controllers }) => [api(), controllers?.()])); // loading is no part of virtual time
  const extend = extensionOf(plugins, undefined, { podRanges: ranges });
  return world({ seed, nodes: 0, events: false, controllers: [], checkers: [], extend });
};
const leasesOf = async (w: World) => (await w.client.list(hostLeaseKind)).items as HostLease[];
function mustBeUnique(leases: readonly HostLease[]): void {
  const all = leases.flatMap(({ spec }) => spec.subnets);
  expect(new Set(all).size).toBe(all.length);
}
async function untilWhole(w: World, hosts: Hosts, withinMs: number): Promise<number> {
  const fromMs = w.clock.now();
  await w.until(
    () => hosts.broken(),
    (broken) => broken.length === 0,
    withinMs,
  );
  return w.clock.now() - fromMs;
}
/** OVERLAY_HOSTS=1000 takes minutes: each host looks at each other one whenever something changes. */
const count = Number(Bun.env['OVERLAY_HOSTS'] ?? 100);

test(`${count} hosts join, and leave, and others come: subnets stay unique, and everybody reaches everybody within 5 s`, async () => {
  await using w = await booted(6);
  const hosts = new Hosts(w);
  const setting = { type: 'merge', body: { spec: { returnGraceSeconds: 2 } } } as const;
  await w.client.patch(overlayNetworkKind, { name: networkName }, setting);
  for (let number = 0; number < count; number += 50) {
    const batch = Array.from({ length: Math.min(50, count - number) }, (_, index) => `h${number + index}`);
    await w.drive(Promise.all(batch.map((name) => hosts.join(name))));
    await w.advance(200);
  }
  const joinedMs = await untilWhole(w, hosts, 5_000);
  mustBeUnique(await leasesOf(w));
  const leaving = hosts.names.filter((_, index) => index % 10 === 0);
  await w.drive(Promise.all(leaving.map((name) => hosts.leave(name))));
  const coming = leaving.map((_, index) => `h${count + index}`);
  await w.drive(Promise.all(coming.map((name) => hosts.join(name))));
  const changedMs = await untilWhole(w, hosts, 5_000);
  mustBeUnique(await leasesOf(w));
  await w.advance('10s');
  const left = await leasesOf(w);
  mustBeUnique(left);
  expect(left.map(({ metadata }) => metadata.name!).sort()).toEqual([...hosts.names].sort());
  const stale = hosts.names.flatMap((name) =>
    leaving.filter((gone) => hosts.fabric.backend(name, 'wireguard').peers.has(gone)),
  );
  expect(stale).toEqual([]);
  console.log(
    `  ${count} hosts: whole ${joinedMs} ms after the last joined, ${changedMs} ms after a tenth was exchanged`,
  );
}, 600_000);
