import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#base';
import { openGateway } from './gateway.ts';

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'pintle-gateway-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

test('writes, creations and events each have a rate; reads have none', async () => {
  let nowMs = 0;
  const path = join(place, 'api');
  let passed = 0;
  await using gateway = await openGateway({
    path,
    baseUrl: 'http://localhost',
    token: async () => 't',
    userAgent: 'p',
    epoch: 'active',
    clock: { ...systemClock, monotonicMs: () => nowMs },
    limits: {
      writes: { burst: 10, perSecond: 5 },
      creations: { burst: 3, perSecond: 1 },
      events: { burst: 2, perSecond: 1 },
    },
    fetch: async () => {
      passed++;
      return Response.json({});
    },
  });
  void gateway;
  const codes = async (method: string, plural: string, times: number) => {
    const found: number[] = [];
    for (let index = 0; index < times; index++) {
      const answer = await fetch(`http://localhost/api/v1/namespaces/a/${plural}`, {
        unix: path,
        method,
      } as RequestInit);
      await answer.text();
      found.push(answer.status);
    }
    return found.join(' ');
  };
  expect(await codes('POST', 'configmaps', 5)).toBe('200 200 200 429 429');
  expect(await codes('PATCH', 'configmaps/b', 7)).toBe('200 200 200 200 200 429 429'); // five were taken by creations
  expect(await codes('POST', 'events', 3)).toBe('200 200 429');
  expect(await codes('GET', 'configmaps', 20)).not.toContain('429');
  nowMs += 1_000;
  expect(await codes('POST', 'configmaps', 2)).toBe('200 429');
  expect(passed).toBe(3 + 5 + 2 + 20 + 1);
});

test('of many at once few reach the API server; a write that waited is refused when another version has taken over', async () => {
  const path = join(place, 'many');
  let inside = 0;
  let most = 0;
  const held = Promise.withResolvers<void>();
  const full = Promise.withResolvers<void>();
  await using gateway = await openGateway({
    path,
    baseUrl: 'http://localhost',
    token: async () => 't',
    userAgent: 'p',
    epoch: 'active',
    clock: systemClock,
    fetch: async () => {
      most = Math.max(most, ++inside);
      if (inside === 2) full.resolve();
      await held.promise;
      inside--;
      return Response.json({});
    },
  });
  const answers = Array.from({ length: 20 }, (_, index) =>
    fetch(`http://localhost/api/v1/nodes/n${index}`, { unix: path, method: 'PUT' } as RequestInit).then(
      async (answer) => ((await answer.text()).includes('StaleEpoch') ? 409 : answer.status),
    ),
  );
  await full.promise;
  const fenced = gateway.fence();
  held.resolve();
  await fenced;
  const codes = await Promise.all(answers);
  expect(most).toBe(2);
  expect(codes.filter((code) => code === 200).length).toBe(2);
  expect(codes.filter((code) => code === 409).length).toBe(18);
});

test('in a flood writes go one by one, each with a pause as long as it took', async () => {
  let nowMs = 0;
  const pauses: number[] = [];
  let inside = 0;
  let most = 0;
  const path = join(place, 'flood');
  await using gateway = await openGateway({
    path,
    baseUrl: 'http://localhost',
    token: async () => 't',
    userAgent: 'p',
    epoch: 'active',
    clock: { ...systemClock, monotonicMs: () => nowMs, sleep: async (ms) => void pauses.push(ms) },
    limits: {
      writes: { burst: 10, perSecond: 0 },
      creations: { burst: 10, perSecond: 0 },
      events: { burst: 1, perSecond: 0 },
      calm: { burst: 5, perSecond: 0 },
    },
    fetch: async () => {
      most = Math.max(most, ++inside);
      await new Promise((done) => setImmediate(done));
      nowMs += 7;
      inside--;
      return Response.json({});
    },
  });
  void gateway;
  const put = () =>
    fetch('http://localhost/api/v1/nodes/a', { unix: path, method: 'PUT' } as RequestInit).then((one) => one.text());
  for (let count = 0; count < 5; count++) await put();
  expect(pauses).toEqual([]);
  await Promise.all([put(), put(), put(), put()]);
  expect([most, pauses]).toEqual([1, [7, 7, 7, 7]]);
});

test('a loop that takes no notice of its refusals gets them late', async () => {
  let nowMs = 0;
  const waits: number[] = [];
  const path = join(place, 'refused');
  await using gateway = await openGateway({
    path,
    baseUrl: 'http://localhost',
    token: async () => 't',
    userAgent: 'p',
    epoch: 'active',
    clock: { ...systemClock, monotonicMs: () => nowMs, sleep: async (ms) => void waits.push(ms) },
    limits: {
      writes: { burst: 1, perSecond: 0 },
      creations: { burst: 1, perSecond: 0 },
      events: { burst: 1, perSecond: 0 },
    },
    fetch: async () => Response.json({}),
  });
  void gateway;
  const puts = async (times: number) => {
    const codes: number[] = [];
    for (let count = 0; count < times; count++)
      codes.push((await fetch('http://localhost/api/v1/nodes/a', { unix: path, method: 'PUT' } as RequestInit)).status);
    return codes;
  };
  expect(new Set((await puts(21)).slice(1))).toEqual(new Set([429]));
  expect(waits).toEqual([]);
  await puts(3);
  expect(waits).toEqual([1_000, 1_000, 1_000]);
  nowMs += 1_000;
  await puts(5);
  expect(waits.length).toBe(3);
});
