import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { dig, hasDig } from '../fixtures/dig.ts';
import { expectOk, lacking, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = lacking() || (hasDig() ? '' : 'dig (bind9-dnsutils)');
if (why) skipped('e2e', 'services of both families', why);
const image = 'pintle/demo:local';
const port = { ports: [{ port: 80, targetPort: 8080 }], selector: { app: 'web' } };

/** The pod ranges are the same; what services have differs. */
const clusters: readonly [name: string, number: number, serviceCidr: string, families: readonly ('IPv4' | 'IPv6')[]][] =
  [
    ['IPv4 first', 211, '10.91.0.0/16,fd91::/112', ['IPv4', 'IPv6']],
    ['IPv6 alone', 212, 'fd92::/112', ['IPv6']],
  ];
for (const [name, number, serviceCidr, families] of clusters)
  describe.skipIf(why !== '')(`services of ${name}`, () => {
    const cluster = new TestCluster();
    const kubectl = async (words: string, stdin?: string) =>
      expectOk(await cluster.kubectl(words.split(' '), stdin === undefined ? {} : { stdin }));
    const service = (metadata: object, spec: object) =>
      kubectl(
        'apply -f -',
        JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata, spec: { ...port, ...spec } }),
      );
    const addressesOf = async (service: string): Promise<string[]> =>
      JSON.parse(await kubectl(`get service ${service} -o jsonpath={.spec.clusterIPs}`)) as string[];
    const urlOf = (ip: string, at = 80): string => `http://${ip.includes(':') ? `[${ip}]` : ip}:${at}/`;
    const answers = (url: string) => async () =>
      (await fetch(url, { signal: AbortSignal.timeout(2_000), keepalive: false })).ok;
    const dns = () => kubectl('get service kube-dns -n kube-system -o jsonpath={.spec.clusterIP}');

    beforeAll(async () => {
      await cluster.up('--pod-cidr', `10.${number}.0.0/16,fd44:${number}::/48`, '--service-cidr', serviceCidr);
      expectOk(await cluster.run('image', 'demo'));
      await kubectl(`create deployment web --image=${image} --replicas=2`);
      await service({ name: 'both' }, { type: 'NodePort', ipFamilyPolicy: 'PreferDualStack' });
      await service({ name: 'six' }, { ipFamilies: ['IPv6'] });
      await kubectl('wait --for=condition=available deployment/web --timeout=90s');
    }, 120_000);
    afterAll(() => cluster[Symbol.asyncDispose](), 60_000);

    test('each address of each family is answered, from the host and from pods', async () => {
      const both = await addressesOf('both');
      expect(both.map((ip) => (ip.includes(':') ? 'IPv6' : 'IPv4'))).toEqual([...families]);
      const six = await addressesOf('six');
      for (const ip of [...both, ...six]) await until(`${ip} from the host`, answers(urlOf(ip)));
      const pod = (await kubectl('get pods -o name')).split('\n')[0]!;
      for (const host of ['both', 'six', ...both.filter((ip) => ip.includes(':')).map((ip) => `[${ip}]`)]) {
        const program = `if (!(await fetch('http://${host}/')).ok) process.exit(1)`;
        await until(
          `${host} from a pod`,
          async () => (await cluster.kubectl(['exec', pod, '--', 'bun', '-e', program])).code === 0,
        );
      }
    });
    test('names lead to both, and back', async () => {
      const server = { ip: await dns(), port: 53 };
      const ask = async (name: string, ...more: string[]) =>
        (await dig(server, name, ...more)).answer.map((line) => line.split(' ').at(-1)!);
      const [six] = (await addressesOf('six')) as [string];
      await until('AAAA', async () => (await ask('six.default.svc.cluster.local', 'AAAA')).includes(six));
      expect(await ask('-x', six)).toEqual(['six.default.svc.cluster.local.']);
      const four = (await addressesOf('both')).filter((ip) => !ip.includes(':'));
      expect(await ask('both.default.svc.cluster.local', 'A')).toEqual(four);
    });
    test('a second family goes, and its address is nobody’s', async () => {
      const [first, second] = await addressesOf('both');
      await cluster.kubectl(['patch', 'service', 'both', '-p', '{"spec":{"ipFamilyPolicy":"SingleStack"}}']);
      expect(await addressesOf('both')).toEqual([first!]);
      if (second === undefined) return;
      await until('no IPAddress', async () => !(await kubectl('get ipaddresses -o name')).includes(second));
      await until('no answer', async () => !(await answers(urlOf(second))().catch(() => false)));
      expect(await answers(urlOf(first!))()).toBe(true);
    });
    test('a further range is answered as well', async () => {
      const cidr = families[0] === 'IPv4' ? '10.90.7.0/24' : 'fd90:7::/112';
      const metadata = { name: 'more' };
      const range = { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata, spec: { cidrs: [cidr] } };
      await kubectl('apply -f -', JSON.stringify(range));
      const ip = families[0] === 'IPv4' ? '10.90.7.7' : 'fd90:7::7';
      await service({ name: 'more' }, { clusterIP: ip });
      await until(`${ip} from the host`, answers(urlOf(ip)));
      expect(await kubectl(`get ipaddress ${ip} -o jsonpath={.spec.parentRef.name}`)).toBe('more');
    });
  });
