import { PintleError, systemExec } from '#base';
import { cutCommands } from '../../../net/underlay/cuts.ts';
import { lay, unplug } from '../../../net/underlay/device.ts';
import type { UnderlayHost } from '../../../net/underlay/plan.ts';
import { waitUntil } from '../processes.ts';
import { applyDelays } from './delay.ts';
import { startEngine } from './engines.ts';
import { askLab, pintleInside } from './inside.ts';
import { powerOff } from './power.ts';
import type { Lab } from './record.ts';

/** Everything between the hosts, as the record says: what is there already is left alone. */
export async function layUnderlay(lab: Lab): Promise<void> {
  await lay(systemExec, lab.underlay);
  await Promise.all([applyCuts(lab), applyDelays(lab)]);
}

export async function applyCuts(lab: Lab): Promise<void> {
  const done = await systemExec.run(['nft', '-f', '-'], {
    stdin: cutCommands(lab.underlay, lab.record.cuts),
    netns: `/run/netns/${lab.underlay.middle}`,
  });
  if (done.code !== 0)
    throw new PintleError(
      'LAB_CUT_FAILED',
      `the links between hosts cannot be cut: ${done.stderr.trim().split('\n')[0]}`,
      'this needs a kernel with nftables for bridges (CONFIG_NF_TABLES_BRIDGE), or --underlay routed',
    );
}

/** Starts the first host's server, for the first time or again. Resolves when its node is Ready. */
export async function startServer(lab: Lab): Promise<void> {
  const { first, record } = lab;
  const isNew = !lab.hostHome(first).exists();
  const choices = ['--port', String(record.port), '--node-name', first.name, '--node-ip', first.address];
  await pintleInside(
    lab,
    first,
    'server',
    '--detach',
    '--schedulable',
    ...['--advertise', first.address],
    ...(isNew ? [...choices, ...record.serverFlags] : []),
  );
}

/** Joins a host, or starts one that joined before. Resolves when its node is Ready. */
export async function startAgent(lab: Lab, host: UnderlayHost): Promise<void> {
  if (lab.hostHome(host).exists()) return void (await pintleInside(lab, host, 'agent', '--detach'));
  const made = await pintleInside(lab, lab.first, 'token', 'create', '--json');
  const { token } = JSON.parse(made) as { token: string };
  await pintleInside(
    lab,
    host,
    ...['join', lab.serverUrl, '--token', token, '--detach', '--node-name', host.name, '--node-ip', host.address],
  );
}

/** A host that was killed, from its disk; or one that never started. */
export async function startHost(lab: Lab, host: UnderlayHost): Promise<void> {
  const startedMs = Date.now();
  startEngine(lab, host);
  await (host.name === lab.first.name ? startServer(lab) : startAgent(lab, host));
  await heardOf(lab, host, startedMs);
}

const heardLimitMs = 60_000;
/** A node stays Ready for some seconds after its host was killed: it is back once it renewed its lease. */
async function heardOf(lab: Lab, host: UnderlayHost, sinceMs: number): Promise<void> {
  const heard = await waitUntil(
    async () => {
      const answer = await askLab(lab, `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${host.name}`);
      const lease = answer?.ok ? ((await answer.json()) as { spec?: { renewTime?: string } }) : undefined;
      return Date.parse(lease?.spec?.renewTime ?? '') >= sinceMs;
    },
    heardLimitMs,
    50,
  );
  if (!heard)
    throw new PintleError(
      'NOT_READY',
      `node ${host.name} was not heard of within ${heardLimitMs / 1000} s`,
      `see ./pintle logs --home ${lab.hostHome(host).folder}`,
    );
}

/** As by a power cut: every process and container ends, the cable is dead, the disk stays. */
export async function killHost(lab: Lab, host: UnderlayHost): Promise<void> {
  await powerOff([{ folder: lab.hostHome(host).folder, netns: host.netns }]);
  await unplug(systemExec, lab.underlay, host.netns);
}
