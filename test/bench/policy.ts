import { type Log, silentLog, systemExec } from '#base';
import { createNftablesFilter } from '../../net/filter/nftables.ts';
import type { PodFacts } from '../../plugins/network-policy/facts.ts';
import { PolicyState } from '../../plugins/network-policy/state.ts';
import { type BenchOptions, millisOf, percentile, type Row, Skip, valueRow } from './parts/row.ts';

const namespaces = 20;
const podsPerApp = 5;
const changes = 100;
const ipOf = (number: number) => `10.77.${number >> 8}.${number & 255}`;

/**
 * Figures `policy`: 1,000 policies over 1,000 pods, all on this host, in 20 namespaces of 10 apps with 5 pods each and five
 * policies an app: who may come by labels of this and of other namespaces, on which ports (by name too), and where to.
 * Full sync into a namespace's kernel; then one pod replaced by the next, one pod's labels, one policy.
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  if (process.getuid?.() !== 0) throw new Skip('namespaces need root');
  if (!Bun.which('nft') || !Bun.which('ip')) throw new Skip('nft and ip are needed');
  const count = options.smoke ? 100 : 1_000;
  const name = `ptbench${process.pid}`;
  const made = await systemExec.run(['ip', 'netns', 'add', name]);
  if (made.code !== 0) throw new Skip(`no network namespace can be made: ${made.stderr.trim()}`);
  const complaints: string[] = [];
  const log: Log = { ...silentLog, warn: (text) => void complaints.push(text) };
  const netns = `/run/netns/${name}`;
  try {
    const localRanges = () => ['10.77.0.0/16'];
    await using filter = createNftablesFilter({ tableName: name, localRanges, podLinks: ['br0'], netns, log });
    const state = new PolicyState({ families: [4] });
    const compute = async () => {
      fill(state, count);
      state.changed();
    };
    yield valueRow('policy.compute', await millisOf(compute), 'ms');
    yield valueRow('policy.full-sync', await millisOf(() => filter.apply(state)), 'ms');
    const rounds = options.smoke ? 5 : changes;
    const measure = async (change: (index: number) => void) => {
      const times: number[] = [];
      for (let index = 0; index < rounds; index++)
        times.push(
          await millisOf(async () => {
            change(index);
            await filter.apply(state);
          }),
        );
      return times;
    };
    const before = process.cpuUsage();
    const replaced = await measure((index) => state.setPod(podOf(index).key, podOf(index, count + index), true));
    yield valueRow('policy.pod.p50', percentile(replaced, 0.5), 'ms', '<= 20');
    const { user, system } = process.cpuUsage(before);
    yield valueRow('policy.pod.own', (user + system) / 1_000 / rounds, 'ms of a core');
    yield valueRow('policy.pod.p99', percentile(replaced, 0.99), 'ms', '<= 20');
    const labelled = await measure((index) => {
      const pod = podOf(index, count + index);
      state.setPod(pod.key, { ...pod, labels: { ...pod.labels, app: 'other' } });
    });
    yield valueRow('policy.labels.p50', percentile(labelled, 0.5), 'ms', '<= 20');
    const changed = await measure((index) => setPolicy(state, count - 1 - index, [{ port: 9_000 + index }]));
    yield valueRow('policy.policy.p50', percentile(changed, 0.5), 'ms', '<= 20');
    if (complaints.length > 0) throw new Error(`the kernel refused ${complaints.length} changes`);
  } finally {
    await systemExec.run(['ip', 'netns', 'delete', name]);
  }
}

const appOf = (index: number) => ({
  namespace: `ns${index % namespaces}`,
  app: `app${Math.floor(index / namespaces / podsPerApp)}`,
});
function podOf(index: number, address = index): PodFacts {
  const { namespace, app } = appOf(index);
  return {
    key: `${namespace}/pod${index}`,
    namespace,
    labels: { app, tier: index % 3 === 0 ? 'front' : 'back' },
    ips: [ipOf(address + 2)],
    isLocal: true,
    ports: [{ name: 'http', protocol: 'tcp', port: 8080 }],
  };
}
function setPolicy(
  state: PolicyState,
  index: number,
  ports: { port: number | string }[] = [{ port: 'http' }, { port: 443 }],
) {
  const { namespace, app } = appOf(index);
  const apps = (text: string) => ({ matchLabels: { app: text } });
  state.setPolicy(`${namespace}/policy${index}`, namespace, {
    podSelector: apps(app),
    policyTypes: ['Ingress', 'Egress'],
    ingress: [
      {
        from: [
          { podSelector: apps(`app${index % 7}`) },
          { namespaceSelector: { matchLabels: { name: `ns${index % 5}` } } },
        ],
        ports,
      },
      { from: [{ ipBlock: { cidr: '192.0.2.0/24', except: [`192.0.2.${index % 250}/32`] } }] },
    ],
    egress: [
      {
        to: [{ namespaceSelector: {}, podSelector: apps(`app${index % 9}`) }],
        ports: [{ port: 8080, endPort: 8090 } as never],
      },
    ],
  });
}
function fill(state: PolicyState, count: number): void {
  for (let index = 0; index < namespaces; index++) state.setNamespace(`ns${index}`, { name: `ns${index}` });
  for (let index = 0; index < count; index++) state.setPod(podOf(index).key, podOf(index));
  for (let index = 0; index < count; index++) setPolicy(state, index);
}
