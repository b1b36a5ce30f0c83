// Real hosts: what an agent keeps and may not have, kubelets behind a firewall, drain by stock kubectl, a server that dies, removal.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemExec } from '#base';
import { askServer } from '../../core/cmd/agent.ts';
import { readRunState } from '../../core/cmd/components.ts';
import { privateEngine } from '../../core/cmd/engine.ts';
import type { Home } from '../../core/cmd/home.ts';
import { removedWhy } from '../../core/cmd/removed.ts';
import { lackingForLab, TestLab } from '../fixtures/lab.ts';
import { expectOk, type Finished, pintle, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = lackingForLab();
if (why) skipped('e2e', 'hosts that join a server', why);

describe.skipIf(why !== '')('hosts that joined', () => {
  const lab = new TestLab();
  const homeOf = (name: string): Home => lab.lab.hostHome(lab.lab.host(name));
  const within = (name: string) => ({ netns: `/run/netns/${lab.lab.host(name).netns}`, timeoutMs: 60_000 });
  const kubectl = async (...words: string[]): Promise<string> => expectOk(await lab.kubectl(words));
  const apply = async (...objects: object[]): Promise<void> => {
    const stdin = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin }));
  };
  const wayOf = (name: string) =>
    kubectl('get', 'node', name, '-o', 'jsonpath={.metadata.annotations.pintle\\.dev/kubelet-way}');
  /** As typed on a host. */
  const on = (name: string, ...words: string[]): Promise<Finished> =>
    lab.run('exec', name, '--', join(import.meta.dir, '../../pintle'), ...words);

  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3', '--yes');
    await lab.pauseImages();
    expectOk(await pintle(['image', 'demo', '--home', homeOf('h2').folder]));
    await apply(podOf('talks', 'h2', 'pintle/demo:local'));
    await kubectl('wait', '--for=condition=Ready', 'pod/talks', '--timeout=60s');
  }, 240_000);
  afterAll(() => lab[Symbol.asyncDispose](), 120_000);

  test('a host that joined keeps its own key and what is public, and nothing that speaks for the cluster', async () => {
    const home = homeOf('h2');
    expect(
      readdirSync(home.path('pki'))
        .filter((name) => name.endsWith('.key'))
        .sort(),
    ).toEqual(['kubelet.key', 'node.key']);
    expect(readdirSync(home.path('credentials')).sort()).toEqual(['node.token', 'proxy.token']);
    const secrets = await askServer(home, home.read(), '/api/v1/secrets');
    expect(secrets?.status).toBe(403);
    expect(expectOk(await on('h2', 'status'))).toContain('node      h2 Ready');
    expect((await on('h2', 'kubectl', 'get', 'pods')).err).toContain('[NO_SERVER]');
    const hosts = expectOk(await on('h1', 'status'));
    for (const name of ['h1', 'h2', 'h3']) expect(hosts).toMatch(new RegExp(`${name} +Ready`));
    const tokens = JSON.parse(expectOk(await on('h1', 'token', 'list', '--json'))) as { state: string }[];
    expect(tokens.map(({ state }) => state)).toEqual(['used', 'used']);
  });

  test('logs, exec and stats reach a kubelet behind a firewall through the tunnel', async () => {
    await until('h2 is reached directly', async () => (await wayOf('h2')) === 'direct');
    const port = homeOf('h2').read().kubeletPort;
    const table = 'pintle_test_firewall';
    const rules = `table inet ${table} { chain in { type filter hook input priority -20; iifname != "lo" tcp dport ${port} drop; }; }`;
    await systemExec.run(['nft', rules], within('h2'));
    try {
      await until('h2 is reached through its tunnel', async () => (await wayOf('h2')) === 'tunnel');
      expect(await kubectl('logs', 'talks')).toContain('listens');
      expect(await kubectl('exec', 'talks', '--', 'hostname')).toBe('talks\n');
      expect(await kubectl('get', '--raw', '/api/v1/nodes/h2/proxy/stats/summary')).toContain('"nodeName":"h2"');
    } finally {
      await systemExec.run(['nft', `delete table inet ${table}`], within('h2'));
    }
  });

  test('kubectl drain keeps to a budget; cordon and uncordon do what they say', async () => {
    await apply(deploymentOf('web'), budgetOf('web', 2));
    await kubectl('rollout', 'status', 'deploy/web', '--timeout=60s');
    await until(
      'the budget is counted',
      async () => (await kubectl('get', 'pdb', 'web')).match(/ 2 +N\/A +0 /) !== null,
    );
    const nodeOfWeb = async () =>
      (await kubectl('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].spec.nodeName}')).split(' ');
    const [first = ''] = await nodeOfWeb();
    const drain = [
      'drain',
      first,
      '--ignore-daemonsets',
      '--force',
      '--delete-emptydir-data',
      '--pod-selector=app=web',
    ];
    const refused = await lab.kubectl([...drain, '--timeout=3s']);
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain("Cannot evict pod as it would violate the pod's disruption budget.");
    await apply(budgetOf('web', 1));
    await until('one may go', async () => (await kubectl('get', 'pdb', 'web')).match(/ 1 +N\/A +1 /) !== null);
    await kubectl(...drain, '--timeout=60s');
    await until('both run elsewhere', async () => {
      const nodes = await nodeOfWeb();
      return nodes.length === 2 && !nodes.includes(first);
    });
    expect(await kubectl('get', 'node', first)).toContain('SchedulingDisabled');
    await kubectl('uncordon', first);
    expect(await kubectl('get', 'node', first)).not.toContain('SchedulingDisabled');
  });

  test('agents outlive the death of the API server: their pods run on, and they are Ready again by themselves', async () => {
    const containers = () =>
      kubectl('get', 'pods', '-o', 'jsonpath={.items[*].status.containerStatuses[*].containerID}');
    // One of them was drained away a moment ago, and its pod may not be gone yet.
    await until('talks and two of web', async () => (await containers()).split(' ').length === 3);
    const before = await containers();
    const server = readRunState(homeOf('h1'))?.components.find(({ name }) => name === 'apiserver');
    process.kill(server!.process!.pid, 'SIGKILL');
    await lab.untilReady('h1', 'h2', 'h3');
    await until('h2 is reached again', async () => (await lab.kubectl(['logs', 'talks'])).code === 0);
    expect(await containers()).toBe(before);
  });

  test('node remove: the host is cut off, told so, and clears its side', async () => {
    await apply(podOf('last', 'h3', 'pintle/pause:local'));
    await kubectl('wait', '--for=condition=Ready', 'pod/last', '--timeout=60s');
    const { bridge } = homeOf('h3').read();
    expect((await on('h1', 'node', 'remove', 'h3')).err).toContain('[NOT_CONFIRMED]');
    expectOk(await on('h1', 'node', 'remove', 'h3', '--yes'));
    await until('h3 heard of it', () => removedWhy(homeOf('h3')) !== undefined);
    const { socket } = privateEngine(homeOf('h3'));
    await until('h3 has ended its processes', async () =>
      readRunState(homeOf('h3'))!.components.every((one) => !one.process),
    );
    expect(await lab.readyNodes()).toEqual(['h1', 'h2']);
    await until('its lease of addresses is gone', async () => !(await kubectl('get', 'hostleases')).includes('h3'));
    expect((await systemExec.run(['ip', 'link', 'show', bridge], within('h3'))).code).not.toBe(0);
    expect(await Bun.file(socket).exists()).toBe(false);
    expect(expectOk(await lab.kubectl(['get', 'pods', '--field-selector=spec.nodeName=h3', '-o', 'name']))).toBe('');
    expect((await on('h3', 'agent', '--detach')).err).toContain('[NODE_REMOVED]');
  });
});

const podOf = (name: string, nodeName: string, image: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    nodeName,
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'c', image, imagePullPolicy: 'IfNotPresent' }],
  },
});
const deploymentOf = (name: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'c', image: 'pintle/pause:local', imagePullPolicy: 'IfNotPresent' }],
      },
    },
  },
});
const budgetOf = (name: string, minAvailable: number) => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name },
  spec: { minAvailable, selector: { matchLabels: { app: name } } },
});
