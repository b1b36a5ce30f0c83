import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Scope, seededRandom, silentLog, systemClock, systemExec } from '#base';
import { createInformers } from '../../../core/client/cache-informer.ts';
import { connect } from '../../../core/cmd/connect.ts';
import { Home } from '../../../core/cmd/home.ts';
import { startKubelet } from '../../../core/kubelet/kubelet.ts';
import { createFakeRuntime } from '../../../core/kubelet/runtimes/fake.ts';
import { createEventRecorder } from '../../../core/sdk/recorder.ts';

/** Real kubelets over pretended containers, each with its own identity and watches: `--home H --nodes N`. Ends with its stdin. */
const { values } = parseArgs({ options: { home: { type: 'string' }, nodes: { type: 'string' } } });
const home = new Home(values.home!);
const config = home.read();
const scope = new Scope();
const seams = { clock: systemClock, log: silentLog };
await Promise.all(Array.from({ length: Number(values.nodes) }, (_, index) => startNode(index)));
console.log('ready');
for await (const _ of Bun.stdin.stream()) {
}
process.exit(0); // nothing of it outlives the process

async function startNode(index: number): Promise<void> {
  const name = `fake-${index}`;
  const random = seededRandom(index + 1);
  const client = connect(home, config, name);
  const common = { ...seams, random, client };
  const stateFolder = home.path('node', name);
  mkdirSync(stateFolder, { recursive: true });
  const kubelet = await startKubelet({
    ...common,
    informers: createInformers({ ...common, signal: scope.signal }),
    events: createEventRecorder({ ...common, component: 'kubelet', host: name }),
    nodeName: name,
    nodeIp: `192.0.2.${1 + (index % 250)}`,
    runtime: createFakeRuntime({ clock: systemClock, random, ipPrefix: `10.${64 + (index >> 8)}.${index & 255}` }),
    stateFolder,
    exec: systemExec,
    capacity: { cpu: '8', memory: '16Gi', pods: '110', 'ephemeral-storage': '100Gi' },
  });
  await kubelet.registered;
}
