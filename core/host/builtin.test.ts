import { expect, test } from 'bun:test';
import { podKind } from '#api';
import { silentLog, systemClock, systemRandom } from '#base';
import type { Client } from '#client';
import type { AdmissionRequest, ApiPart, ApiPartContext, KindRegistry, Reader, ServedKind } from '#sdk';
import { AdmissionList } from './admission-list.ts';
import { type Part, startParts } from './builtin.ts';
import { startOrder } from './order.ts';
import { apiParts } from './parts.ts';

const options = { clock: systemClock, log: silentLog };

test.each([
  [[{ name: 'b', requires: ['a'] }, { name: 'a' }], 'a b'],
  [[{ name: 'c', requires: ['b'] }, { name: 'a' }, { name: 'b', requires: ['a'] }], 'a b c'],
  [[{ name: 'x' }, { name: 'y', requires: ['absent'] }], 'x y'],
])('%j start as %s', (plugins, order) => {
  expect(
    startOrder(plugins)
      .map(({ name }) => name)
      .join(' '),
  ).toBe(order);
});

test('a circle is refused with its path', () => {
  const circle = [
    { name: 'z', requires: ['a'] },
    { name: 'a', requires: ['b'] },
    { name: 'b', requires: ['a'] },
  ];
  expect(() => startOrder(circle)).toThrow('a → b → a');
  expect(() => startOrder([{ name: 'me', requires: ['me'] }])).toThrow('me → me');
});

test('parts stop in reverse; one that fails half-way is undone, what requires it is not started, the rest runs', async () => {
  const seen: string[] = [];
  const part = (name: string, requires: string[] = [], fails = false): Part => ({
    name,
    requires,
    async start(scope) {
      scope.defer(() => seen.push(`-${name}.1`));
      seen.push(`+${name}`);
      await Promise.resolve();
      if (fails) throw new Error('half-way');
      scope.defer(() => seen.push(`-${name}.2`));
    },
  });
  const running = await startParts(
    [part('late', ['first']), part('first'), part('bad', [], true), part('after', ['bad']), part('lone', ['gone'])],
    options,
  );
  expect(running.reports.map(({ name, state, error }) => [name, state, error])).toEqual([
    ['first', 'active', undefined],
    ['late', 'active', undefined],
    ['bad', 'failed', 'half-way'],
    ['after', 'blocked', 'it requires bad, which did not start'],
    ['lone', 'blocked', 'it requires gone, which is not enabled'],
  ]);
  expect(seen).toContain('-bad.1');
  expect(seen).not.toContain('+after');
  seen.length = 0;
  await running[Symbol.asyncDispose]();
  expect(seen).toEqual(['-late.2', '-late.1', '-first.2', '-first.1']);
});

test('a part that does not return is left out after its limit, by name', async () => {
  const hang = { name: 'hang', start: () => new Promise<void>(() => {}) };
  const { reports } = await startParts([hang], { ...options, startMsMax: 20 });
  expect(reports[0]).toMatchObject({ state: 'failed', error: 'plugin hang took more than 20 ms to start' });
});

test('kinds and hooks of an API part go with it', async () => {
  const served: ServedKind[] = [];
  const kinds: KindRegistry = {
    all: () => served,
    add: async (one) => void served.push(one),
    remove: async (kind) =>
      void served.splice(
        served.findIndex((one) => one.kind === kind),
        1,
      ),
  };
  const hooks = new AdmissionList();
  let asked = 0;
  const part: ApiPart = {
    name: 'pods',
    async start({ kinds, admit }) {
      await kinds.add({ kind: podKind } as unknown as ServedKind);
      admit({ name: 'count', validate: () => void asked++ });
    },
  };
  const running = await startParts(
    apiParts(
      [
        { name: 'pods', enabled: true, requires: ['elsewhere'], api: async () => ({ default: part }) },
        { name: 'elsewhere', enabled: true },
        { name: 'off', enabled: false, api: () => Promise.reject(new Error('must not be loaded')) },
      ],
      {
        kinds,
        hooks,
        reader: {} as Reader,
        checkMetadata: () => [],
        schema: {} as ApiPartContext['schema'],
        kit: {} as ApiPartContext['kit'],
      },
      { client: {} as Client, clock: systemClock, random: systemRandom, log: silentLog },
    ),
    options,
  );
  expect(running.reports).toMatchObject([{ name: 'pods', state: 'active' }]);
  expect(served.length).toBe(1);
  await hooks.validate({} as AdmissionRequest);
  await running[Symbol.asyncDispose]();
  await hooks.validate({} as AdmissionRequest);
  expect([served.length, asked]).toEqual([0, 1]);
});
