// DNS and monitoring over several hosts: names on every one of them, while they change and when a host is lost.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasDig } from '../fixtures/dig.ts';
import { lackingForLab, TestLab } from '../fixtures/lab.ts';
import { expectOk, freePort, pintle, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab() || (hasDig() ? '' : 'there is no dig (bind9-dnsutils)');
if (unfit) skipped('e2e', 'names on several hosts', unfit);
const hasPrometheus = Bun.which('prometheus') !== null;
if (!unfit && !hasPrometheus) skipped('e2e', 'Prometheus on several hosts', 'prometheus is not on PATH');

const name = 'db.default.svc.cluster.local';
const visibleWithinMs = 100;
const changes = 10;
const lab = new TestLab();
const hosts = ['h1', 'h2', 'h3'];
const json = JSON.stringify;

interface NodeLike {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
}
const api = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const slice = (address: string) => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'db', labels: { 'kubernetes.io/service-name': 'db' } },
  addressType: 'IPv4',
  ports: [{ name: 'sql', port: 5432 }],
  endpoints: [{ addresses: [address] }],
});
const write = (method: 'POST' | 'PATCH', path: string, body: object) =>
  lab.json<{ kind: string; message?: string }>(path, {
    method,
    body: json(body),
    headers: { 'content-type': method === 'POST' ? 'application/json' : 'application/merge-patch+json' },
  });
const ask = async (host: string, server: string, port: number) =>
  (await lab.exec(host, 'dig', `@${server}`, '-p', `${port}`, '+short', '+time=2', '+tries=5', name, 'A')).trim();

/** Where each host's own server listens, as its node says. */
async function servers(): Promise<[host: string, ip: string, port: number][]> {
  const { items } = await lab.json<{ items: NodeLike[] }>('/api/v1/nodes');
  return items.flatMap(({ metadata }) => {
    const [ip, port] = metadata.annotations?.['dns.pintle.dev/endpoint']?.split(':') ?? [];
    return ip && port ? [[metadata.name, ip, Number(port)]] : [];
  });
}

describe.skipIf(unfit !== '')('names on three hosts', () => {
  let serviceIp = '';
  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3');
    const spec = { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] };
    await write('POST', '/api/v1/namespaces/default/services', { metadata: { name: 'db' }, spec });
    await write('POST', api, slice('10.9.9.1'));
    const dns = await lab.json<{ spec: { clusterIP: string } }>('/api/v1/namespaces/kube-system/services/kube-dns');
    serviceIp = dns.spec.clusterIP;
    await until('every host serves names', async () => (await servers()).length === hosts.length);
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  test('every host’s own server answers, and the service on every host', async () => {
    for (const [host, ip, port] of await servers())
      expect([host, await ask(host, ip, port)]).toEqual([host, '10.9.9.1']);
    for (const host of hosts)
      await until(`${host} asks the service`, async () => (await ask(host, serviceIp, 53)) === '10.9.9.1');
  });

  test('a changed endpoint is seen on every host within 100 ms', async () => {
    const script = join(import.meta.dir, '../fixtures/dns-watcher.ts');
    const pipes = { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' } as const;
    const watchers = (await servers()).map(([host, ip, port]) => {
      const { netns } = lab.lab.host(host);
      const argv = ['ip', 'netns', 'exec', netns, process.execPath, script, ip, `${port}`, name];
      const child = Bun.spawn(argv, pipes);
      const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      return { child, next: async () => (await lines.read()).value?.trim() ?? '' };
    });
    try {
      for (const { next } of watchers) expect(await next()).toBe('ready');
      const slowest: number[] = [];
      for (let index = 0; index < changes; index++) {
        const address = `10.9.8.${index + 1}`;
        for (const { child } of watchers) {
          child.stdin.write(`${address}\n`);
          await child.stdin.flush();
        }
        const wroteMs = Date.now();
        await write('PATCH', `${api}/db`, { endpoints: [{ addresses: [address] }] });
        const seen = await Promise.all(watchers.map(({ next }) => next()));
        slowest.push(Math.max(...seen.map(Number)) - wroteMs);
      }
      console.log(`a change is seen everywhere after ${slowest.join(', ')} ms, the write included`);
      // The best of ten: others may work on this machine, and what they take is no property of ours.
      expect(Math.min(...slowest)).toBeLessThanOrEqual(visibleWithinMs);
    } finally {
      for (const { child } of watchers) child.kill();
      await Promise.all(watchers.map(({ child }) => child.exited));
    }
  });

  describe.skipIf(!hasPrometheus)('with a Prometheus', () => {
    const port = freePort();
    let prometheus: ReturnType<typeof Bun.spawn> | undefined;
    const query = async (expression: string) => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`);
      const { data } = (await answer.json()) as { data: { result: { metric: Record<string, string> }[] } };
      return data.result.map(({ metric }) => metric);
    };
    beforeAll(async () => {
      const folder = lab.home.path('prometheus');
      mkdirSync(folder, { recursive: true });
      const printed = async (...words: string[]) => expectOk(await pintle(['monitoring', 'prometheus', ...words]));
      expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: await printed() }));
      const token = expectOk(await lab.kubectl(['create', 'token', 'prometheus', '-n', 'monitoring']));
      writeFileSync(join(folder, 'token'), token.trim());
      cpSync(lab.lab.hostHome(lab.lab.first).path('pki', 'ca.crt'), join(folder, 'ca.crt'));
      writeFileSync(join(folder, 'rules.yml'), await printed('--part', 'rules'));
      const from = ['--server', lab.lab.serverUrl, '--interval', '1'];
      writeFileSync(join(folder, 'prometheus.yml'), await printed('--part', 'config', ...from));
      const flags = [
        `--web.listen-address=127.0.0.1:${port}`,
        '--config.file=prometheus.yml',
        '--storage.tsdb.path=data',
      ];
      const log = Bun.file(join(folder, 'log'));
      prometheus = Bun.spawn(['prometheus', ...flags], { cwd: folder, stdout: 'ignore', stderr: log });
    });
    afterAll(async () => {
      prometheus?.kill();
      await prometheus?.exited;
    });

    test('it reads the node of every host, its names among it', async () => {
      for (const job of ['kubelet', 'resource'])
        await until(`${job} of every host is read`, async () => {
          const up = await query(`up{job="${job}"} == 1`);
          return `${up.map(({ node }) => node).sort()}` === `${hosts}`;
        });
      await until('questions of every host are counted', async () => {
        const counted = await query('sum by (node) (coredns_dns_requests_total{zone="cluster.local."}) > 0');
        return `${counted.map(({ node }) => node).sort()}` === `${hosts}`;
      });
    });
  });

  test('a lost host: the others answer, and the service leaves it out', async () => {
    await lab.ok('kill', 'h3');
    await lab.untilReady('h1', 'h2');
    const endpoints = async () => {
      const path = '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices';
      const { items } = await lab.json<{
        items: { endpoints: { nodeName: string; conditions: { ready: boolean } }[] }[];
      }>(path);
      return items
        .flatMap((one) => one.endpoints)
        .flatMap(({ nodeName, conditions }) => (conditions.ready ? nodeName : []));
    };
    await until('the service leaves it out', async () => !(await endpoints()).includes('h3'));
    for (const host of ['h1', 'h2'])
      for (let index = 0; index < 5; index++) expect(await ask(host, serviceIp, 53)).toBe(`10.9.8.${changes}`);
  });
});
