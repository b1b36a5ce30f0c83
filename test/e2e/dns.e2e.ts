import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { dig, hasDig } from '../fixtures/dig.ts';
import { expectOk, lacking, TestCluster, until } from '../fixtures/pintle.ts';
import { podmanEngine } from '../fixtures/podman-engine.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = lacking() || (hasDig() ? '' : 'dig (bind9-dnsutils)');
if (why) skipped('e2e', 'DNS in a real cluster', why);
const image = 'pintle/demo:local';
const namesFile = readFileSync('/etc/resolv.conf', 'utf8');

/** The pods of each policy, and what their resolv.conf has to say. `DNS`: the cluster's server. */
const policies: readonly (readonly [name: string, spec: object, lines: readonly string[]])[] = [
  [
    'first',
    {},
    ['search default.svc.cluster.local svc.cluster.local cluster.local', 'nameserver DNS', 'options ndots:5'],
  ],
  ['host', { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }, ['nameserver DNS', 'options ndots:5']],
  ['hostonly', { hostNetwork: true }, []],
  ['node', { dnsPolicy: 'Default' }, []],
  [
    'own',
    {
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['192.0.2.53'], searches: ['a.example'], options: [{ name: 'ndots', value: '2' }] },
    },
    ['search a.example', 'nameserver 192.0.2.53', 'options ndots:2'],
  ],
];

const podman = why ? why : await podmanEngine();
if (typeof podman === 'string') skipped('e2e', 'DNS with Podman', podman);
else afterAll(() => podman[Symbol.asyncDispose]());

for (const runtime of ['docker', 'podman', 'process'] as const)
  describe.skipIf(why !== '' || (runtime === 'podman' && typeof podman === 'string'))(`DNS with ${runtime}`, () => {
    const cluster = new TestCluster();
    const former = process.env['DOCKER_HOST'];
    let address = '';
    const kubectl = async (words: string, stdin?: string) =>
      expectOk(await cluster.kubectl(words.split(' '), stdin === undefined ? {} : { stdin }));
    const apply = (...items: object[]) =>
      kubectl('apply -f -', JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    const pod = (name: string, spec: object, labels: object = {}) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', 'sleep 3600'] }],
        ...spec,
      },
    });
    const inside = (name: string, ...words: string[]) => cluster.kubectl(['exec', name, '--', ...words]);

    beforeAll(async () => {
      if (runtime === 'podman' && typeof podman !== 'string')
        process.env['DOCKER_HOST'] = `unix://${podman.socketPath}`;
      await cluster.up(...(runtime === 'process' ? ['--runtime', 'process'] : []));
      expectOk(await cluster.run('image', 'demo'));
      address = await kubectl('get service kube-dns -n kube-system -o jsonpath={.spec.clusterIP}');
      const service = { clusterIP: 'None', selector: { app: 'peer' }, ports: [{ port: 80 }] };
      await apply(
        { apiVersion: 'v1', kind: 'Service', metadata: { name: 'peers' }, spec: service },
        pod('peer', { hostname: 'peer-0', subdomain: 'peers' }, { app: 'peer' }),
        ...policies.map(([name, spec]) => pod(name, spec)),
      );
      await kubectl('wait --for=condition=Ready pod --all --timeout=90s');
    }, 180_000);
    afterAll(async () => {
      await cluster[Symbol.asyncDispose]();
      if (former === undefined) delete process.env['DOCKER_HOST'];
      else process.env['DOCKER_HOST'] = former;
    }, 60_000);

    test('it is the tenth address of the service range', () => {
      expect(address).toBe(cluster.config.serviceCidr.replace(/\.0\/\d+$/, '.10'));
    });

    test.each(policies.map(([name, , lines]) => [name, lines] as const))('resolv.conf of %s', async (name, lines) => {
      const text = expectOk(await inside(name, 'cat', '/etc/resolv.conf'));
      if (lines.length === 0) {
        const servers = [...namesFile.matchAll(/^\s*nameserver\s+(\S+)/gm)].slice(0, 3).map((match) => match[1]!);
        expect([...text.matchAll(/nameserver (\S+)/g)].map((match) => match[1]!)).toEqual(servers);
      } else for (const line of lines) expect(text).toContain(line.replace('DNS', address));
    });

    test('pods resolve services, and each other by host name and subdomain', async () => {
      const api = await kubectl('get service kubernetes -o jsonpath={.spec.clusterIP}');
      const peer = await kubectl('get pod peer -o jsonpath={.status.podIP}');
      const look = async (name: string, from: string) => (await inside(from, 'nslookup', name)).out;
      await until('kubernetes resolves', async () =>
        (await look('kubernetes.default.svc.cluster.local', 'first')).includes(api),
      );
      await until('the peer resolves', async () =>
        (await look('peer-0.peers.default.svc.cluster.local', 'first')).includes(peer),
      );
      await until('from the host’s network', async () =>
        (await look('kubernetes.default.svc.cluster.local', 'host')).includes(api),
      );
    }, 120_000);

    test('it comes back with its node, at the same address', async () => {
      const ask = () => dig({ ip: address, port: 53 }, 'kubernetes.default.svc.cluster.local', 'A', '+time=1');
      expect((await ask()).status).toBe('NOERROR');
      const node = cluster.state!.components.find(({ name }) => name === 'node')!.process!.pid;
      process.kill(node, 'SIGKILL');
      await until('another process', () => {
        const now = cluster.state?.components.find(({ name }) => name === 'node')?.process?.pid;
        return now !== undefined && now !== node;
      });
      await until('it answers again', async () => (await ask().catch(() => undefined))?.status === 'NOERROR');
    }, 120_000);
  });
