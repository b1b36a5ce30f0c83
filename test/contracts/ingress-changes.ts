import { expect, test } from 'bun:test';
import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { echoBackend } from '../fixtures/http-backends.ts';
import { backendOf, hostOf, routeTo } from '../fixtures/ingress-routing.ts';
import { RawHttp } from '../fixtures/raw-http.ts';
import type { Differences, IngressWorld } from './ingress-driver.ts';

/** Routings come and go; requests and connections do not notice. */
export function ingressChanges(world: IngressWorld, differences: Differences): void {
  const shop = { hosts: [hostOf('', { '/': routeTo('a') })] };
  const subject = async (name: string): Promise<string> => {
    using connection = new RawHttp(world.port('https'), name);
    connection.send('GET / HTTP/1.1\r\nHost: h.example\r\n\r\n');
    expect((await connection.answer()).status).toBe(200);
    return new X509Certificate((connection.socket as TLSSocket).getPeerCertificate().raw).subject;
  };
  test('certificates by name, the default one for others; a new one without a dropped connection', async () => {
    const [exact, wild] = [
      await world.certificate('exact', ['a.example']),
      await world.certificate('wild', ['*.b.example']),
    ];
    await world.apply({ ...shop, certificates: [exact, wild] });
    expect(await subject('a.example')).toContain('exact 1');
    expect(await subject('x.b.example')).toContain('wild 1');
    expect(await subject('x.y.b.example')).toContain('default 1');
    expect(await subject('nobody.example')).toContain('default 1');
    using standing = new RawHttp(world.port('https'), 'a.example');
    standing.send('GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n');
    expect((await standing.answer()).status).toBe(200);
    await world.apply({ ...shop, certificates: [await world.certificate('exact', ['a.example'], '2'), wild] });
    expect(await subject('a.example')).toContain('exact 2');
    standing.send('GET /2 HTTP/1.1\r\nHost: a.example\r\n\r\n');
    expect((await standing.answer()).status).toBe(200);
    await world.apply({ ...shop, certificates: [] });
    expect(await subject('a.example')).toContain('default 1');
    standing.send('GET /3 HTTP/1.1\r\nHost: a.example\r\n\r\n');
    expect((await standing.answer()).status).toBe(200);
  });
  test('a request under way ends where it began, though its route is gone', async () => {
    await world.apply(shop);
    using connection = new RawHttp(world.port());
    const before = world.a.requests;
    connection.send('GET /slow HTTP/1.1\r\nHost: h.example\r\n\r\n');
    while (world.a.requests === before) await Bun.sleep(1);
    await world.apply({ hosts: [hostOf('', { '/': routeTo('b') })] });
    world.a.release();
    expect(JSON.parse((await connection.answer()).body).backend).toBe('a');
    connection.send('GET /next HTTP/1.1\r\nHost: h.example\r\n\r\n');
    expect(JSON.parse((await connection.answer()).body).backend).toBe('b');
  });
  test('a hundred changes under load: no request fails', async () => {
    await using c = echoBackend('c');
    const backends = [backendOf('a', [world.a.port]), backendOf('b', [world.b.port]), backendOf('c', [c.port])];
    const routingOf = (turn: number) => ({
      backends:
        turn % 3 === 0
          ? backends
          : backends.map((one, at) => (at === 0 ? backendOf('a', [world.a.port, world.b.port]) : one)),
      hosts: [
        hostOf('h.example', { '/': routeTo(turn % 2 ? 'a' : 'b'), [`/turn${turn}`]: routeTo('c') }),
        hostOf(`h${turn}.example`, { '/': routeTo('c') }),
      ],
    });
    await world.apply(routingOf(0));
    const end = new AbortController();
    const failures: string[] = [];
    let served = 0;
    const load = async (): Promise<void> => {
      using connection = new RawHttp(world.port());
      while (!end.signal.aborted) {
        connection.send('GET /x HTTP/1.1\r\nHost: h.example\r\n\r\n');
        const { status, body } = await connection.answer();
        if (status === 200) served++;
        else failures.push(`${status} ${body}`.slice(0, 100));
        if (status === 0) return;
      }
    };
    const clients = Array.from({ length: 4 }, load);
    for (let turn = 1; turn <= 100; turn++) {
      await world.apply(routingOf(turn));
      const { status, body } = await world.ask(`h${turn}.example`, '/');
      expect([turn, status, status === 200 ? JSON.parse(body).backend : body]).toEqual([turn, 200, 'c']); // in force once `apply` is over
    }
    end.abort();
    await Promise.all(clients);
    expect(failures).toEqual([]);
    expect(served).toBeGreaterThan(100);
  });
  test('an endpoint that is gone gets no more requests', async () => {
    const both = backendOf('a', [world.a.port, world.b.port]);
    await world.apply({ ...shop, backends: [both] });
    for (let count = 0; count < 4; count++) await world.ask('h.example', '/');
    await world.apply({ ...shop, backends: [backendOf('a', [world.a.port])] });
    const before = world.b.requests;
    for (let count = 0; count < 10; count++) expect((await world.ask('h.example', '/')).status).toBe(200);
    expect(world.b.requests).toBe(before);
  });
  test('what cannot be used is named, and the rest is in force', async () => {
    const bad = { id: 'bad', version: '1', names: ['bad.example'], cert: 'no certificate', key: 'no key' };
    const good = await world.certificate('good', ['good.example']);
    const { rejected } = await world.driver.apply(world.routing({ ...shop, certificates: [bad, good] }));
    expect(rejected.map(({ id }) => id)).toEqual(['bad']);
    expect(await subject('good.example')).toContain('good 1');
    expect(await subject('bad.example')).toContain('default 1');
  });
  test('health and metrics', async () => {
    await world.apply(shop);
    expect((await world.ask('h.example', '/')).status).toBe(200);
    expect(await world.driver.health()).toEqual({ ok: true });
    const text = await world.driver.metrics();
    const labels = differences.countsBackends ? 'backend="a",code="2xx"' : 'route="to:a",code="200"';
    expect(text).toMatch(new RegExp(`^pintle_ingress_requests_total\\{${labels}\\} \\d+$`, 'm'));
  });
}
