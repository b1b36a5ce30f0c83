import type { Cut } from '../../../net/underlay/cuts.ts';
import type { Underlay } from '../../../net/underlay/plan.ts';
import type { Delay } from './record.ts';

/** What is known of one host. Absent facts: the API did not answer. */
export interface HostState {
  readonly name: string;
  /** `off`: killed, or never started. `stopped`: it has power, and no supervisor. */
  readonly power: 'running' | 'stopped' | 'off';
  readonly ready?: boolean;
  readonly subnets?: readonly string[];
  readonly pods?: number;
}
export interface LabState {
  readonly underlay: Underlay;
  readonly hosts: readonly HostState[];
  readonly cuts: readonly Cut[];
  readonly delays: readonly Delay[];
}

/** The topology as text: the machine, what is between, and each host with what is known of it. Pure. */
export function picture({ underlay, hosts, cuts, delays }: LabState): string {
  const { spec, outside } = underlay;
  const middle = {
    flat: `one segment, a switch in namespace ${underlay.middle}`,
    routed: `a segment for each host, a router in namespace ${underlay.middle}`,
    nat: `h1 is public, each other host behind a router of its own that masquerades`,
  }[spec.kind];
  const last = underlay.hosts.length - 1;
  return [
    `this machine ${outside.address} (link ${outside.link})`,
    '│',
    `${spec.kind} ${spec.block.cidr}: ${middle}`,
    '│',
    ...underlay.hosts.flatMap((host, at) => {
      const state = hosts.find(({ name }) => name === host.name);
      const way = host.seenAs === host.address ? '──' : `── router ${host.seenAs} ──`;
      const marks = marksOf(host.name, cuts, delays);
      const bar = at === last ? ' ' : '│';
      return [
        `${at === last ? '└' : '├'}${way} ${host.name} ${host.address}  ${stateText(state, at === 0)}`.trimEnd(),
        ...marks.map((mark) => `${bar}     ${mark}`),
      ];
    }),
    '',
  ].join('\n');
}

function stateText(state: HostState | undefined, isFirst: boolean): string {
  const role = isFirst ? 'server and node' : 'node';
  if (!state || state.power === 'off') return `${role}, no power`;
  if (state.power === 'stopped') return `${role}, stopped`;
  const ready = state.ready === undefined ? 'unknown' : state.ready ? 'Ready' : 'NotReady';
  const pods = state.pods === undefined ? '' : `, ${state.pods} pod${state.pods === 1 ? '' : 's'}`;
  const subnets = state.subnets?.length ? ` in ${state.subnets.join(', ')}` : '';
  return `${role}, ${ready}${pods}${subnets}`;
}

function marksOf(name: string, cuts: readonly Cut[], delays: readonly Delay[]): string[] {
  const targets = cuts.filter(({ from }) => from === name).map(({ to }) => to);
  const isBoth = (to: string) => cuts.some((cut) => cut.from === to && cut.to === name);
  const both = targets.filter(isBoth);
  const only = targets.filter((to) => !isBoth(to));
  const delay = delays.find(({ host }) => host === name);
  return [
    ...(both.length > 0 ? [`✂ cut from ${both.join(', ')}`] : []),
    ...(only.length > 0 ? [`✂ nothing that it sends reaches ${only.join(', ')}`] : []),
    ...(delay
      ? [
          `◷ ${delay.delayMs} ms each way${delay.jitterMs ? ` ± ${delay.jitterMs} ms` : ''}${delay.lossPercent ? `, ${delay.lossPercent} % lost` : ''}`,
        ]
      : []),
  ];
}
