import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { lackingForLab, type PodProbe, pausePods, TestLab } from '../fixtures/lab.ts';
import { expectOk, until } from '../fixtures/pintle.ts';
import { probePort } from '../fixtures/probe.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'addresses of load balancers', unfit);

/** As a client outside: this machine is in the network of the hosts and none of them. */
async function answers(ip: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), 1_000);
  const end = (found: boolean) => () => resolve(found);
  void Bun.connect({ hostname: ip, port: 80, socket: { open: end(true), data() {}, connectError: end(false) } }).then(
    (socket) => promise.then(() => socket.end()),
    end(false),
  );
  return promise.finally(() => clearTimeout(timer));
}

describe.skipIf(unfit !== '')('a service of type LoadBalancer on three hosts', () => {
  const lab = new TestLab();
  let probes: PodProbe[] = [];
  let ip = '';
  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3', '--yes', '--', '--node-grace', '4');
    await lab.pauseImages();
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: pausePods('one') }));
    expectOk(await lab.kubectl(['rollout', 'status', 'deployment/one', '--timeout=100s']));
    probes = await lab.podProbes('app=one');
    // The one with the API server is to live: nobody would hear of its death.
    expectOk(await lab.kubectl(['label', 'node', 'h1', 'node.kubernetes.io/exclude-from-external-load-balancers=']));
  });
  afterAll(async () => {
    for (const { probe } of probes) await probe[Symbol.asyncDispose]();
    await lab[Symbol.asyncDispose]();
  });
  /** Of these hosts those that have the address. */
  const holders = async (names: readonly string[]) => {
    const has = async (name: string) => (await lab.exec(name, 'ip', '-br', 'address')).includes(`${ip}/32`);
    const found = await Promise.all(names.map(async (name) => ((await has(name)) ? [name] : [])));
    return found.flat();
  };

  test('waits for a pool; then a client outside reaches it, and one host answers for it', async () => {
    expectOk(
      await lab.kubectl([
        'expose',
        'deployment',
        'one',
        '--type=LoadBalancer',
        '--port=80',
        `--target-port=${probePort}`,
      ]),
    );
    const pending = expectOk(await lab.kubectl(['get', 'service', 'one']));
    expect(pending).toContain('<pending>');
    const network = lab.lab.hosts[0]!.address.split('.').slice(0, 3).join('.');
    const pool = {
      apiVersion: 'net.pintle.dev/v1',
      kind: 'AddressPool',
      metadata: { name: 'lab' },
      spec: { addresses: [`${network}.200-${network}.203`] },
    };
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(pool) }));
    ip = `${network}.200`;
    expectOk(await lab.kubectl(['wait', `--for=jsonpath={.status.loadBalancer.ingress[0].ip}=${ip}`, 'service/one']));
    await until('somebody answers outside', () => answers(ip));
    expect(await holders(['h1', 'h2', 'h3'])).toHaveLength(1);
    expect(await holders(['h1'])).toEqual([]);
  });

  test('outlives the host that answers for it', async () => {
    const [first] = await holders(['h2', 'h3']);
    await lab.ok('kill', first!);
    await until('another host answers', () => answers(ip));
    expect(await holders([first === 'h2' ? 'h3' : 'h2'])).toHaveLength(1);
  });
});
