import { expect, test } from 'bun:test';
import { silentLog, systemClock } from '#base';
import type { Route, RouteTable, ServiceProxy } from '#net/service-proxy';
import { type ProxyContribution, plugin } from '#sdk';
import { contribute } from '../../../test/fixtures/contributor.ts';
import { rejection } from '../../../test/fixtures/rejection.ts';
import { NodeContributions } from './contributions.ts';
import { createCarriedProxy, readAnswer } from './proxy.ts';

const here = { ip: '10.1.0.2', port: 80, local: true };
const there = { ip: '10.1.1.2', port: 80, local: false };
const web: Route = {
  id: 'default/web:',
  protocol: 'tcp',
  virtual: { ip: '10.96.0.1', port: 80 },
  backends: [here, there],
};
const table: RouteTable = { routes: [web], podRanges: ['10.1.0.0/16'] };

function recorded() {
  const applied: RouteTable[] = [];
  let purges = 0;
  const own: ServiceProxy = {
    name: 'own',
    async apply(one) {
      applied.push(one);
      return { refused: [] };
    },
    purge: async () => void purges++,
    [Symbol.asyncDispose]: async () => {},
  };
  return { own, applied, purges: () => purges };
}
const localOnly: ProxyContribution = {
  name: 'local-first',
  apply: ({ routes }) => ({
    routes: routes.map((route) => ({ ...route, backends: route.backends.filter(({ local }) => local) })),
  }),
};
const plugged = (name: string, proxy: ProxyContribution) => () =>
  plugin({ name, version: '1.0.0', sdk: '^1.0', placement: 'every-node', setup: (context) => context.proxy(proxy) });

test("what a plugin makes of the table is in force; while it is down the last rules stay; gone, the node's own are back", async () => {
  const contributions = new NodeContributions();
  const { own, applied } = recorded();
  const proxy = createCarriedProxy({ own, contributions, clock: systemClock, log: silentLog });
  await proxy.apply(table);
  const mesh = await contribute(contributions, plugged('mesh', localOnly));
  await proxy.apply(table);
  expect(applied.map(({ routes }) => routes[0]!.backends)).toEqual([[here, there], [here]]);
  mesh.crash();
  expect((await rejection(proxy.apply(table))).message).toContain('does not run now');
  await mesh.begin();
  await proxy.apply(table);
  mesh.hang();
  expect((await rejection(proxy.apply(table))).message).toContain('gave no answer: no answer within');
  expect(applied).toHaveLength(3);
  mesh.givenUp = true;
  await proxy.apply(table);
  expect(applied.at(-1)).toEqual(table);
  mesh.givenUp = false;
  await mesh.leave();
  await proxy.apply(table);
  expect(applied.at(-1)).toEqual(table);
});

test('a node that starts serves by itself until the plugin has answered; generations rise over its restarts', async () => {
  const contributions = new NodeContributions();
  const { own, applied } = recorded();
  const generations: number[] = [];
  const counting = {
    name: 'c',
    apply(_table: RouteTable, generation: number) {
      generations.push(generation);
      return { routes: [] };
    },
  };
  const mesh = await contribute(contributions, plugged('mesh', counting));
  mesh.crash();
  const proxy = createCarriedProxy({ own, contributions, clock: systemClock, log: silentLog });
  await proxy.apply(table);
  await proxy.apply(table);
  expect(applied).toEqual([table, table]);
  await mesh.begin();
  await proxy.apply(table);
  await proxy.apply(table);
  mesh.crash();
  await mesh.begin();
  const later = { ...systemClock, now: () => systemClock.now() + 1_000 }; // the next process
  await createCarriedProxy({ own, contributions, clock: later, log: silentLog }).apply(table);
  expect(generations).toHaveLength(3);
  expect(generations).toEqual(generations.toSorted((a, b) => a - b));
  expect(new Set(generations).size).toBe(3);
});

test('one that puts rules in force by itself needs the level process; the own ones make way once', async () => {
  const contributions = new NodeContributions();
  const { own, applied, purges } = recorded();
  const proxy = createCarriedProxy({ own, contributions, clock: systemClock, log: silentLog });
  const byItself = { name: 'kernel', apply: () => ({}) };
  const caged = await contribute(contributions, plugged('mesh', byItself));
  expect((await rejection(proxy.apply(table))).message).toContain('says nothing of routes');
  await caged.leave();
  const free = await contribute(contributions, plugged('mesh', byItself), { isolation: 'process' });
  await proxy.apply(table);
  await proxy.apply(table);
  expect([applied.length, purges()]).toEqual([0, 1]);
  await free.leave();
  await proxy.apply(table);
  expect(applied).toEqual([table]);
});

test('of two the first that was installed; the other is told why', async () => {
  const contributions = new NodeContributions();
  await contribute(contributions, plugged('late', { name: 'b', apply: () => ({}) }), { sinceMs: 2 });
  const first = await contribute(contributions, plugged('soon', localOnly), { sinceMs: 1 });
  expect(contributions.sole('proxies')?.name).toBe('local-first');
  expect(contributions.unused('soon')).toEqual([]);
  expect(contributions.unused('late')).toEqual([
    'service proxy b is not used: plugin soon provides local-first already',
  ]);
  await first.leave();
  expect(contributions.unused('late')).toEqual([]);
});

test.each<[string, unknown, string]>([
  ['no list', { routes: 'all' }, 'gives no list of routes'],
  ['a route of its own', { routes: [{ ...web, id: 'x/y:' }] }, 'has a route "x/y:"'],
  ['a route twice', { routes: [web, web] }, 'has the route default/web: twice'],
  [
    'a backend of its own',
    { routes: [{ ...web, backends: [{ ip: '169.254.169.254', port: 80, local: false }] }] },
    'sends default/web: to {"ip":"169.254.169.254"',
  ],
  ['another port of a backend', { routes: [{ ...web, backends: [{ ...here, port: 22 }] }] }, 'sends default/web: to'],
  [
    'a backend that is said to be here',
    { routes: [{ ...web, backends: [{ ...there, local: true }] }] },
    'sends default/web: to',
  ],
  ['no backends', { routes: [{ ...web, backends: undefined }] }, 'gives no backends'],
  ['affinity for ever', { routes: [{ ...web, affinityTtlMs: 1e12 }] }, 'gives default/web: an affinity'],
  ['a refusal of what is not there', { refused: [{ id: 'x', reason: 'y' }] }, 'refuses "x"'],
])('an answer with %s is refused as a whole', (_what, said, why) => {
  expect(() => readAnswer('p', said, table)).toThrow(`service proxy p ${why}`);
});

test('what a route begins with stays as the table has it', () => {
  const said = { routes: [{ ...web, virtual: { ip: '10.96.0.9', port: 443 }, nodePort: 1, backends: [there] }] };
  expect(readAnswer('p', said, table).routes).toEqual([{ ...web, backends: [there] }]);
});
