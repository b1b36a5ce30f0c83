import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { lackingForLab, type PodProbe, pausePods, TestLab } from '../fixtures/lab.ts';
import { expectOk, pintle, runProgram, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'hosts behind NAT', unfit);

const hidden = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'hidden' },
  spec: {
    nodeName: 'h3',
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'c', image: 'pintle/demo:local', imagePullPolicy: 'Never' }],
  },
});

describe.skipIf(unfit !== '')('a lab whose hosts are behind routers that masquerade', () => {
  const lab = new TestLab();
  let probes: PodProbe[] = [];
  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3', '--underlay', 'nat');
    await lab.pauseImages();
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: pausePods('one') }));
    expectOk(await lab.kubectl(['rollout', 'status', 'deployment/one', '--timeout=60s']));
    probes = await lab.podProbes('app=one');
  });
  afterAll(async () => {
    for (const { probe } of probes) await probe[Symbol.asyncDispose]();
    await lab[Symbol.asyncDispose]();
  });
  const on = (host: string) => probes.find(({ node }) => node === host)!;

  test('all are Ready, and the server reaches kubelets that it cannot call', async () => {
    expect(await lab.readyNodes()).toEqual(['h1', 'h2', 'h3']);
    expect(probes.map(({ node }) => node).sort()).toEqual(['h1', 'h2', 'h3']);
    for (const host of ['h1', 'h2', 'h3'])
      await until(`logs of a pod on ${host}`, async () => (await lab.kubectl(['logs', on(host).name])).code === 0);
  });

  describe('stock kubectl, with a pod whose host the server cannot call', () => {
    const kubectl = async (...words: string[]): Promise<string> => expectOk(await lab.kubectl(words));
    const environment = () => ({ ...(process.env as Record<string, string>), KUBECONFIG: lab.home.kubeconfig });
    beforeAll(async () => {
      expectOk(await pintle(['image', 'demo', '--home', lab.home.folder]));
      expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: hidden }));
      await kubectl('wait', '--for=condition=Ready', 'pod/hidden', '--timeout=60s');
      const way = '-o=jsonpath={.metadata.annotations.pintle\\.dev/kubelet-way}';
      await until('the way is told', async () => (await kubectl('get', 'node', 'h3', way)) === 'tunnel');
    });

    test('logs: to the end, and followed', async () => {
      expect(await kubectl('logs', 'hidden')).toContain('listens');
      const follow = Bun.spawn(['kubectl', 'logs', '-f', 'hidden'], { env: environment(), stdout: 'pipe' });
      try {
        await kubectl('exec', 'hidden', '--', 'sh', '-c', 'echo later > /proc/1/fd/1');
        let seen = '';
        for await (const bytes of follow.stdout) {
          seen += Buffer.from(bytes).toString();
          if (seen.includes('later')) break;
        }
        expect(seen).toContain('later');
      } finally {
        follow.kill();
        await follow.exited;
      }
    });

    test('exec: input, output, exit code, a terminal; attach', async () => {
      const exec = ['exec', '-i', 'hidden', '--', 'sh', '-c'];
      expect(await lab.kubectl([...exec, 'cat; exit 3'], { stdin: 'through' })).toMatchObject({
        code: 3,
        out: 'through',
      });
      expect((await kubectl('exec', 'hidden', '--', 'sh', '-c', 'head -c 4000000 /dev/zero')).length).toBe(4_000_000);
      const typed = ['script', '-qec', "kubectl exec -it hidden -- sh -c 'tty; exit 4'", '/dev/null'];
      const terminal = await runProgram(typed, { env: environment() });
      expect(terminal).toMatchObject({ code: 4, out: expect.stringMatching(/\/dev\/(pts\/\d+|console)/) });
      const overrides = '--overrides={"spec":{"nodeName":"h2"}}';
      const run = [
        'run',
        'echo',
        '-i',
        '--rm',
        '--quiet',
        '--image=pintle/demo:local',
        '--image-pull-policy=Never',
        overrides,
      ];
      const attached = await lab.kubectl([...run, '--restart=Never', '--command', '--', 'cat'], {
        stdin: 'to the end\n',
      });
      expect(attached).toMatchObject({ code: 0, out: 'to the end\n' });
    });

    test('cp, both ways, of more than a window of the tunnel', async () => {
      const [there, back] = [`${lab.home.folder}/there`, `${lab.home.folder}/back`];
      const bytes = randomBytes(3_000_000);
      writeFileSync(there, bytes);
      await kubectl('cp', there, 'hidden:/tmp/there');
      await kubectl('cp', 'hidden:/tmp/there', back);
      expect(Bun.hash(readFileSync(back))).toBe(Bun.hash(bytes));
    });

    test('port-forward, several connections at a time', async () => {
      const forward = Bun.spawn(['kubectl', 'port-forward', 'pod/hidden', ':8080'], {
        env: environment(),
        stdout: 'pipe',
      });
      try {
        const reader = forward.stdout.getReader(); // kept open: kubectl ends when it cannot say more
        let said = '';
        while (!said.includes('->')) said += Buffer.from((await reader.read()).value!).toString();
        const [, port] = /127\.0\.0\.1:(\d+)/.exec(said) ?? [];
        const ask = async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).text();
        expect(await Promise.all(Array.from({ length: 8 }, ask))).toEqual(Array.from({ length: 8 }, () => 'ok\n'));
      } finally {
        forward.kill();
        await forward.exited;
      }
    });

    test('figures of the node and of its pods, and what its kubelet answers', async () => {
      const raw = (path: string) => kubectl('get', '--raw', `/api/v1/nodes/h3/proxy${path}`);
      expect(await raw('/healthz')).toBe('ok');
      expect(JSON.parse(await raw('/stats/summary'))).toMatchObject({ node: { nodeName: 'h3' } });
      expect(await raw('/metrics')).toContain('# TYPE kubelet_runtime_operations_total counter');
      expect(await raw('/containerLogs/default/hidden/c')).toContain('listens');
      await until('the node is measured', async () => (await kubectl('top', 'nodes')).includes('h3 '));
      await until('the pod is measured', async () => (await lab.kubectl(['top', 'pod', 'hidden'])).code === 0);
    });
  });

  test('pods reach each other, between two hidden hosts through the public one', async () => {
    for (const from of probes)
      for (const to of probes) {
        if (from === to) continue;
        const way = `${from.node} to ${to.node}`;
        await until(
          `TCP from ${way}`,
          async () => (await from.probe.tcp(to.ips[0]!, undefined, 20_000)) === from.ips[0]!,
        );
        await until(`UDP from ${way}`, async () => (await from.probe.udp(to.ips[0]!)) === from.ips[0]!);
      }
  });

  test('a connection between hidden hosts lives through a delay and the loss of packets', async () => {
    const [from, to] = [on('h2'), on('h3')];
    await from.probe.stream(to.ips[0]!);
    await lab.ok('delay', 'h2', '40ms', '--jitter', '10', '--loss', '2');
    await from.probe.tcp(to.ips[0]!).catch(() => ''); // the way is late now
    await lab.ok('heal');
    await until('answers at once again', async () => (await from.probe.udp(to.ips[0]!)) !== '');
    const report = await from.probe.stop(to.ips[0]!);
    expect(report.closed).toBe('');
    expect(report.answered).toBeGreaterThan(0);
  });
});
