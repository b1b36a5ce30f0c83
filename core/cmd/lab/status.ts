import type { Node, Pod } from '#api';
import { systemExec } from '#base';
import { listNetns } from '../../../net/netns/netns.ts';
import { netnsPrefix, type UnderlayHost } from '../../../net/underlay/plan.ts';
import { readRunState } from '../components.ts';
import { isAlive } from '../processes.ts';
import { askLab } from './inside.ts';
import { type HostState, type LabState, picture } from './picture.ts';
import { type Lab, openLab } from './record.ts';

/** `lab status`: the picture, or one JSON object. Exit code 1 unless every host is Ready. */
export async function labStatus(options: { home?: string; json?: boolean }): Promise<void> {
  const lab = openLab(options.home);
  const state = await printStatus(lab, options.json);
  if (!state.hosts.every(({ ready }) => ready)) process.exitCode = 1;
}

export async function printStatus(lab: Lab, json = false): Promise<LabState> {
  const state = await look(lab);
  const { hosts, cuts, delays } = state;
  process.stdout.write(
    json
      ? `${JSON.stringify({ home: lab.home.folder, ...lab.record, server: lab.serverUrl, hosts: hosts.map((one) => ({ ...one, ...placeOf(lab, one.name) })), cuts, delays })}\n`
      : picture(state),
  );
  return state;
}

function placeOf(lab: Lab, name: string): Pick<UnderlayHost, 'address' | 'seenAs' | 'netns'> {
  const { address, seenAs, netns } = lab.host(name);
  return { address, seenAs, netns };
}

async function look(lab: Lab): Promise<LabState> {
  const [names, nodes, pods] = await Promise.all([
    listNetns(systemExec, netnsPrefix(lab.record.id)),
    itemsOf<Node>(lab, '/api/v1/nodes'),
    itemsOf<Pod>(lab, '/api/v1/pods'),
  ]);
  const hosts = lab.hosts.map((host): HostState => {
    const runs = isAlive(readRunState(lab.hostHome(host))?.supervisor);
    const node = nodes?.find(({ metadata }) => metadata.name === host.name);
    return {
      name: host.name,
      power: !names.includes(host.netns) ? 'off' : runs ? 'running' : 'stopped',
      ...(nodes && {
        ready: node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false,
        subnets: node?.spec?.podCIDRs ?? [],
      }),
      ...(pods && { pods: pods.filter((pod) => pod.spec?.nodeName === host.name && isRunning(pod)).length }),
    };
  });
  return { underlay: lab.underlay, hosts, cuts: lab.record.cuts, delays: lab.record.delays };
}

const isRunning = (pod: Pod): boolean => pod.status?.phase === 'Running';

async function itemsOf<T>(lab: Lab, path: string): Promise<T[] | undefined> {
  const answer = await askLab(lab, path);
  return answer?.ok ? ((await answer.json()) as { items: T[] }).items : undefined;
}
