import { existsSync, rmSync } from 'node:fs';
import { PintleError, systemExec } from '#base';
import { blockCandidates } from '../../../net/underlay/block.ts';
import { hostsMax, type UnderlayKind } from '../../../net/underlay/plan.ts';
import { checksOf } from '../doctor/checks.ts';
import { inspectMachine } from '../doctor/machine.ts';
import { claimFolder, hostRoutes } from '../first-start.ts';
import { type Home, newClusterId, openHome } from '../home.ts';
import { installPackages } from '../install.ts';
import { takeTurn } from '../lock.ts';
import { chooseAlone } from '../neighbours.ts';
import { createProgress, type Progress } from '../progress.ts';
import { overlaps, spanOf } from '../ranges.ts';
import { startEngine } from './engines.ts';
import { layUnderlay, startAgent, startServer } from './hosts.ts';
import { isLab, Lab, type LabRecord, readLab } from './record.ts';
import { forgetLostLabs, registerLab } from './registry.ts';
import { printStatus } from './status.ts';

export interface LabUpOptions {
  readonly home?: string;
  readonly yes?: boolean;
  readonly hosts?: number;
  readonly underlay?: UnderlayKind;
  readonly port?: number;
  /** Behind `--`: further flags of `server`. */
  readonly serverFlags: readonly string[];
}
const hostsDefault = 3;
const portDefault = 6443; // in a namespace of its own nobody else has it

/** `lab up`: N hosts on this machine, all Ready. Twice is harmless: what is missing is made, what was killed is started. */
export async function labUp(options: LabUpOptions): Promise<void> {
  const home = openHome(options.home);
  const progress = createProgress();
  if (options.hosts !== undefined && (options.hosts < 1 || options.hosts > hostsMax))
    throw new PintleError(
      'BAD_NUMBER',
      `--hosts ${options.hosts} is not between 1 and ${hostsMax}`,
      'write it as --hosts 3',
    );
  const isNew = !isLab(home);
  const folderIsNew = !existsSync(home.folder);
  if (isNew) refuseOther(home);
  else checkSame(readLab(home), options);
  if (isNew) claimFolder(home);
  using _turn = await takeTurn(home, progress);
  let lab: Lab;
  try {
    if (isNew) await checkMachine(home, options, progress);
    await forgetLostLabs(progress);
    lab = isNew ? await chooseLab(home, options) : withHosts(readLab(home), options);
    await bringUp(lab, progress);
  } catch (error) {
    if (isLab(home))
      progress.note(`what was made stays, with its logs: lab up goes on, lab down --home ${home.folder} removes it`);
    else if (isNew && folderIsNew) rmSync(home.folder, { recursive: true, force: true }); // refused: nothing stays
    throw error;
  }
  await printStatus(lab);
  process.stdout.write(
    `  export KUBECONFIG=${home.kubeconfig}\n  kubectl get nodes -o wide\n  ./pintle lab exec h2 --home ${home.folder} -- ip address\n`,
  );
}

/** The server first, everybody's engine beside it, then all others at once. */
async function bringUp(lab: Lab, progress: Progress): Promise<void> {
  const { kind } = lab.record;
  await progress.step(`laying the network: ${lab.hosts.length} hosts, ${kind}`, () => layUnderlay(lab));
  for (const host of lab.hosts) startEngine(lab, host);
  await progress.step(`starting the server on ${lab.first.name}`, () => startServer(lab));
  writeKubeconfig(lab);
  const others = lab.hosts.slice(1);
  if (others.length > 0)
    await progress.step(`joining ${others.map(({ name }) => name).join(', ')}`, () =>
      settled(others.map((host) => startAgent(lab, host))),
    );
}

/** Waits for all, then throws the first failure: nothing goes on behind the back of a clean-up. */
async function settled(all: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(all)).find((one) => one.status === 'rejected');
  if (failed) throw failed.reason;
}

/** The server's own, with the address that the machine and all hosts reach it at. */
function writeKubeconfig(lab: Lab): void {
  const text = lab.hostHome(lab.first).readFile('kubeconfig') ?? '';
  lab.home.writeFile('kubeconfig', text.replace(/server: \S+/, `server: ${lab.serverUrl}`));
}

function refuseOther(home: Home): void {
  if (!home.exists()) return;
  throw new PintleError(
    'HOME_IN_USE',
    `${home.folder} holds a cluster that is no lab`,
    'name another folder with --home',
  );
}

function checkSame({ record }: Lab, options: LabUpOptions): void {
  const asked: [string, unknown, unknown][] = [
    ['--underlay', options.underlay, record.kind],
    ['--port', options.port, record.port],
    [
      'server flags',
      options.serverFlags.length > 0 ? options.serverFlags.join(' ') : undefined,
      record.serverFlags.join(' '),
    ],
  ];
  const other = asked.find(([, wanted, have]) => wanted !== undefined && wanted !== have);
  if (other || (options.hosts ?? record.hosts) < record.hosts)
    throw new PintleError(
      'HOME_IN_USE',
      other
        ? `this folder holds a lab with ${other[0]} ${other[2] || '(none)'}, not ${other[1]}`
        : `this folder holds a lab of ${record.hosts} hosts, not ${options.hosts}; hosts can be added only`,
      'leave it out, name another folder with --home, or remove this lab first: ./pintle lab down',
    );
}

const withHosts = (lab: Lab, { hosts }: LabUpOptions): Lab =>
  hosts !== undefined && hosts > lab.record.hosts ? lab.save({ hosts }) : lab;

const needed = { ip: 'iproute2', nsenter: 'util-linux', dockerd: 'docker.io', conntrack: 'conntrack' } as const;

/** What hosts of a lab cannot do without; with --yes it is installed. */
async function checkMachine(home: Home, options: LabUpOptions, progress: Progress): Promise<void> {
  let machine = await inspectMachine(systemExec, home.folder, { kubectl: false });
  const bad = checksOf(machine).find((check) => check.state === 'bad');
  if (bad) throw new PintleError('MACHINE_UNFIT', `${bad.name}: ${bad.detail}`, bad.fix ?? 'see ./pintle doctor');
  if (!machine.root)
    throw new PintleError('NEEDS_ROOT', 'a lab makes network namespaces and engines', 'run it as root');
  const missing = () => [
    ...(Object.keys(needed) as (keyof typeof needed)[]).filter((name) => !machine[name]).map((name) => needed[name]),
    ...(machine.nft === 'absent' ? ['nftables'] : []),
  ];
  if (options.yes && machine.aptSystem && missing().length > 0) {
    await installPackages(systemExec, missing(), progress);
    machine = await inspectMachine(systemExec, home.folder, { kubectl: false });
  }
  if (missing().length > 0 || machine.nft === 'refused')
    throw new PintleError(
      'MACHINE_UNFIT',
      machine.nft === 'refused' ? 'nft is refused here' : `a lab needs ${missing().join(', ')}`,
      machine.nft === 'refused'
        ? 'this needs a kernel with nftables, and CAP_NET_ADMIN'
        : `apt-get update && apt-get install -y ${missing().join(' ')}   (or add --yes)`,
    );
}

/** Chosen once, and written before anything is made. One at a time on this machine: blocks must not meet. */
function chooseLab(home: Home, options: LabUpOptions): Promise<Lab> {
  return chooseAlone(async () => {
    const taken = (await hostRoutes(systemExec)).map(spanOf).filter((span) => span !== undefined);
    const block = blockCandidates.find((one) => !taken.some((span) => overlaps(span, spanOf(one)!)));
    if (!block)
      throw new PintleError(
        'NO_FREE_RANGE',
        'every range of 172.16.0.0/12 meets a route of this machine',
        'remove one',
      );
    const record: LabRecord = {
      formatVersion: 1,
      id: newClusterId(home.folder),
      kind: options.underlay ?? 'flat',
      hosts: options.hosts ?? hostsDefault,
      block,
      port: options.port ?? portDefault,
      serverFlags: options.serverFlags,
      cuts: [],
      delays: [],
    };
    const lab = new Lab(home, record).save({});
    registerLab(lab);
    await layUnderlay(lab); // within the turn: its routes tell the next one what is taken
    return lab;
  });
}
