// examples/shop: brought up by its one command, an order by TLS through the ingress, its metrics, and an alert when a part is broken.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectOk, freePort, repository, runProgram, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const shop = join(repository, 'examples/shop');
const missing = ['kubectl', 'openssl', 'curl'].find((name) => !Bun.which(name));
const why = missing ? `${missing} is not on PATH` : process.getuid?.() === 0 ? '' : 'ports below 1024 need root here';
if (why) skipped('e2e', 'the shop', why);
const hasPrometheus = Bun.which('prometheus') !== null;
if (!why && !hasPrometheus) skipped('e2e', 'alerts of the shop', 'prometheus is not on PATH');

const cluster = new TestCluster();
const kubectl = async (...words: string[]) => expectOk(await cluster.kubectl(words)).trim();
let address = '';
const certificate = () => cluster.home.path('run', 'shop.crt');
const curl = (path: string, ...words: string[]) =>
  runProgram([
    'curl',
    '--silent',
    '--show-error',
    '--fail-with-body',
    ...['--max-time', '10', '--cacert', certificate(), '--resolve', `shop.example:443:${address}`],
    ...words,
    `https://shop.example${path}`,
  ]);
const ask = async <T>(path: string, body?: object): Promise<T> => {
  const words = body ? ['--data', JSON.stringify(body)] : [];
  return JSON.parse(expectOk(await curl(path, ...words))) as T;
};

describe.skipIf(why !== '')('the shop', () => {
  beforeAll(async () => {
    await cluster.up('--runtime', 'process');
    expectOk(await runProgram([join(shop, 'up'), '--home', cluster.home.folder], { timeoutMs: 110_000 }));
    address = await kubectl(
      'get',
      'ingress',
      'shop',
      '-n',
      'shop',
      '-o',
      'jsonpath={.status.loadBalancer.ingress[0].ip}',
    );
    const data = await kubectl('get', 'secret', 'shop-tls', '-n', 'shop', '-o', String.raw`jsonpath={.data.tls\.crt}`);
    writeFileSync(certificate(), Buffer.from(data, 'base64'));
  }, 120_000);
  afterAll(() => cluster[Symbol.asyncDispose]());

  test('somebody looks, fills a cart, and orders: by TLS, through the ingress, with the certificate checked', async () => {
    await until('the page is there', async () => (await curl('/')).code === 0);
    expect(expectOk(await curl('/'))).toContain('Pintle of bronze, 59.00');
    const line = { sku: 'pintle', count: 2 };
    expect(await ask<object[]>('/api/cart/mine', line)).toEqual([line]);
    await ask('/api/cart/mine', { sku: 'rudder', count: 1 });
    const order = await ask<{ id: string; cents: number }>('/api/orders', { cart: 'mine' });
    expect(order.cents).toBe(2 * 5_900 + 48_000);
    expect(await ask<object>(`/api/orders/${order.id}`)).toMatchObject({
      cents: order.cents,
      lines: [line, { sku: 'rudder' }],
    });
    expect(await ask<object[]>('/api/cart/mine')).toEqual([]);
    expect((await curl('/api/cart/mine', '--data', '{"sku":"gold"}')).out).toContain('there is no product gold');
    expect((await curl('/nothing')).out).not.toContain('Shop');
  });

  test('what is applied again is unchanged', async () => {
    expect((await cluster.kubectl(['diff', '-k', shop])).out).toBe('');
  });

  describe.skipIf(!hasPrometheus)('watched by Prometheus', () => {
    const folder = () => cluster.home.path('run', 'prometheus');
    const port = freePort();
    let server: ReturnType<typeof Bun.spawn> | undefined;
    const query = async (expression: string) => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`);
      const { data } = (await answer.json()) as {
        data: { result: { metric: Record<string, string>; value: [number, string] }[] };
      };
      return data.result;
    };
    beforeAll(async () => {
      mkdirSync(join(folder(), 'rules.d'), { recursive: true });
      const printed = async (...words: string[]) => expectOk(await cluster.run('monitoring', 'prometheus', ...words));
      expectOk(await cluster.kubectl(['apply', '-f', '-'], { stdin: await printed() }));
      const write = (name: string, text: string) => writeFileSync(join(folder(), name), text);
      write('token', await kubectl('create', 'token', 'prometheus', '-n', 'monitoring'));
      cpSync(cluster.home.path('pki', 'ca.crt'), join(folder(), 'ca.crt'));
      cpSync(join(shop, 'alerts.yml'), join(folder(), 'rules.d/shop.yml'));
      write('rules.yml', await printed('--part', 'rules'));
      const from = ['--server', `https://127.0.0.1:${cluster.config.port}`, '--interval', '1'];
      write('prometheus.yml', await printed('--part', 'config', ...from));
      const flags = [
        `--web.listen-address=127.0.0.1:${port}`,
        '--config.file=prometheus.yml',
        '--storage.tsdb.path=data',
      ];
      const log = Bun.file(join(folder(), 'log'));
      server = Bun.spawn(['prometheus', ...flags], { cwd: folder(), stdout: 'ignore', stderr: log });
    });
    afterAll(async () => {
      server?.kill();
      await server?.exited;
    });

    test('every service is read, and what was ordered is counted', async () => {
      await until('all pods of the shop are read', async () => {
        const up = await query('up{job="pods",namespace="shop"} == 1');
        return up.length === 6;
      });
      await until('the order is counted', async () => (await query('sum(shop_orders_total)'))[0]?.value[1] === '1');
      expect((await query('sum(shop_revenue_cents_total)'))[0]?.value[1]).toBe('59800');
      expect(await query('ALERTS{alertname=~"Shop.+"}')).toEqual([]);
    });

    test('a service is broken: customers are told, and the alert names it; when it is back, so are they', async () => {
      await kubectl('scale', 'deployment/catalog', '-n', 'shop', '--replicas=0');
      const firing = async () => {
        await curl('/'); // a customer
        return (await query('ALERTS{alertname="ShopServiceFailing",alertstate="firing"}')).map(
          ({ metric }) => metric['to'],
        );
      };
      await until('the alert fires', async () => (await firing()).includes('catalog'), 90_000);
      const refused = await curl('/');
      expect([refused.code === 0, refused.out]).toEqual([false, expect.stringContaining('catalog does not answer')]);
      await kubectl('scale', 'deployment/catalog', '-n', 'shop', '--replicas=2');
      await until('customers are served again', async () => (await curl('/')).code === 0);
    });
  });
});
