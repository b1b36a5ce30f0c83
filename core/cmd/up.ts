import { existsSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { PintleError, systemExec, withNextStep } from '#base';
import { readRunState } from './components.ts';
import { ensureCredentials } from './credentials.ts';
import { type Decision, decide, type UpOptions } from './decide.ts';
import { checksOf } from './doctor/checks.ts';
import { inspectMachine, type Machine } from './doctor/machine.ts';
import { privateEngine } from './engine.ts';
import { chooseConfig, claimFolder, portIsFree, refuseUnfit } from './first-start.ts';
import { type Config, commandOf, type Home, openHome, podRangesOf } from './home.ts';
import { installKubectl, installPackages, packagesMissing } from './install.ts';
import { launchComponents, readyLimitMs } from './launching.ts';
import { supervisorRuns, takeTurn } from './lock.ts';
import { chooseAlone, register } from './neighbours.ts';
import { isAlive } from './processes.ts';
import { createProgress, type Progress } from './progress.ts';
import { pickRanges } from './ranges.ts';
import { waitForNode } from './ready.ts';
import { serviceSettingsOf } from './service-settings.ts';
import { otlpFlag } from './tracing/tracing.ts';

/** `up` and `server`: brings a cluster to Ready. Twice is harmless. Foreground unless --detach. */
export async function up(given: UpOptions): Promise<void> {
  const otlpEndpoint = otlpFlag(given.otlpEndpoint, process.env['OTEL_EXPORTER_OTLP_ENDPOINT']);
  const options = { ...given, otlpEndpoint };
  serviceSettingsOf(options);
  pickRanges(options, { cidrs: [], nodePorts: [] }, false); // wrong words are refused before anything is looked at
  const home = openHome(options.home);
  const progress = createProgress();
  if (home.exists()) checkSame(home.read(), options);
  const folderIsNew = !existsSync(home.folder);
  claimFolder(home);
  const turn = await takeTurn(home, progress);
  if (supervisorRuns(home)) {
    turn[Symbol.dispose]();
    const config = home.read();
    await progress.step(`a cluster runs in ${home.folder}; waiting until its node is Ready`, () =>
      waitForNode(home, config, readyLimitMs),
    );
    return announce(home, config);
  }
  let config: Config;
  try {
    config = await prepare(home, options, progress);
  } catch (error) {
    if (folderIsNew && !home.exists()) rmSync(home.folder, { recursive: true, force: true }); // refused: nothing stays
    throw error;
  }
  await launchComponents(
    {
      home,
      config,
      progress,
      turn,
      command: `./pintle ${commandOf(config)}`,
      wait: (limitMs, signal) => waitForNode(home, config, limitMs, signal),
      announce: () => announce(home, config),
    },
    options.detach === true,
  );
}

async function prepare(home: Home, options: UpOptions, progress: Progress): Promise<Config> {
  const first = !home.exists();
  if (!first) {
    const config = withChanges(home.read(), options);
    home.write(config);
    checkPort(config.port, home);
    checkPort(config.kubeletPort, home);
    await ensureCredentials(home, config);
    register(home, config); // the registry is lost at a reboot
    return config;
  }
  void import('../wire/pki.ts'); // takes 100 ms to load: while the machine's programs are asked
  const decision = await fitMachine(home, options, progress);
  if (options.port !== undefined) checkPort(options.port, home);
  return chooseAlone(async () => {
    const config = await chooseConfig(home, options, decision, systemExec);
    await ensureCredentials(home, config);
    home.write(config); // last: a home with a configuration is complete
    register(home, config);
    return config;
  });
}

/** What may differ from one start to the next: where others reach a server, its times, which built-in plugins run, where traces go, and who reaches services from outside. */
function withChanges(config: Config, options: UpOptions): Config {
  const { advertise, schedulable, nodeGraceSeconds, evictAfterSeconds, plugins, otlpEndpoint } = options;
  return {
    ...config,
    ...(advertise && { advertise }),
    ...(schedulable && { schedulable }),
    ...(nodeGraceSeconds && { nodeGraceSeconds }),
    ...(evictAfterSeconds !== undefined && { evictAfterSeconds }),
    ...(plugins && Object.keys(plugins).length > 0 && { plugins: { ...config.plugins, ...plugins } }),
    ...(otlpEndpoint && { otlpEndpoint: otlpEndpoint === 'none' ? undefined : otlpEndpoint }),
    ...serviceSettingsOf(options),
  };
}

/** Looks at the machine, mends what --yes allows, and says how a node runs here. Throws where none can. */
export async function fitMachine(
  home: Home,
  options: UpOptions,
  progress: Progress,
  ofSeveral = options.role !== undefined,
): Promise<Decision> {
  let machine = await inspectMachine(systemExec, home.folder);
  const bad = checksOf(machine).find((check) => check.state === 'bad');
  if (bad) throw new PintleError('MACHINE_UNFIT', `${bad.name}: ${bad.detail}`, bad.fix ?? 'see ./pintle doctor');
  machine = await mend(machine, home, options, progress);
  const decision = decide(machine, options.runtime, privateEngine(home).socket);
  if (ofSeveral) refuseUnfit(decision);
  for (const note of decision.notes) progress.note(note);
  return decision;
}

/** With --yes as root on Debian installs what is missing; without, says the exact commands and goes on with less. */
async function mend(machine: Machine, home: Home, options: UpOptions, progress: Progress): Promise<Machine> {
  const missing = machine.root ? packagesMissing(machine, options.runtime) : [];
  const needsKubectl = machine.kubectl === undefined || machine.kubectl.minor < 31;
  if (missing.length > 0 && options.yes && machine.aptSystem) {
    await installPackages(systemExec, missing, progress);
  } else if (missing.length > 0) {
    progress.note(
      `missing: ${missing.join(' ')}. Install with: apt-get update && apt-get install -y ${missing.join(' ')}   (or add --yes)`,
    );
  }
  if (
    options.yes &&
    !machine.engine &&
    machine.dockerd &&
    machine.serviceManager &&
    machine.root &&
    options.runtime !== 'process'
  ) {
    await progress.step(
      'starting Docker',
      async () => void (await systemExec.run(['systemctl', 'start', 'docker'], { timeoutMs: 60_000 })),
    );
  }
  if (needsKubectl && options.yes) {
    try {
      await progress.step('putting kubectl into the home folder', () => installKubectl(systemExec, home));
    } catch (error) {
      progress.note(withNextStep(error)); // the cluster works without
    }
  } else if (needsKubectl)
    progress.note('kubectl 1.31 or newer is not on PATH; add --yes to have one put into the home folder');
  return missing.length > 0 || !machine.engine ? inspectMachine(systemExec, home.folder, { kubectl: false }) : machine;
}

export function checkPort(port: number, home: Home): void {
  if (portIsFree(port)) return;
  const leftover = (readRunState(home)?.components ?? []).some((one) => isAlive(one.process)); // a killed supervisor's apiserver: taken over
  if (!leftover)
    throw new PintleError(
      'PORT_TAKEN',
      `port ${port} is in use by another program`,
      'end that program, or name another port with --port (a new cluster needs a new --home)',
    );
}

function checkSame(config: Config, options: UpOptions): void {
  if (config.role !== options.role) throw otherRole(config);
  const asked: [string, unknown, unknown][] = [
    ['--port', options.port, config.port],
    ['--pod-cidr', options.podCidr, podRangesOf(config).join()],
    ['--cni', options.cni && resolve(options.cni), config.cni],
    ['--service-cidr', options.serviceCidr, config.serviceCidr],
    ['--node-ports', options.nodePorts, config.nodePorts],
    ['--store', options.store, config.store],
    ['--runtime', options.runtime === 'auto' ? undefined : options.runtime, config.runtime],
  ];
  const other = asked.find(([, wanted, have]) => wanted !== undefined && wanted !== have);
  if (other)
    throw new PintleError(
      'HOME_IN_USE',
      `this home holds a cluster with ${other[0]} ${other[2]}, not ${other[1]}`,
      `leave ${other[0]} out, or name another folder with --home`,
    );
}

export const otherRole = (config: Config): PintleError =>
  new PintleError(
    'HOME_IN_USE',
    `this home holds ${config.role === 'agent' ? 'a host that joined a cluster' : config.role === 'server' ? 'the server of several hosts' : 'a cluster of one host'}`,
    `start it with ./pintle ${commandOf(config)}, or name another folder with --home`,
  );

function announce(home: Home, config: Config): void {
  process.stdout.write(
    `The cluster is ready at https://127.0.0.1:${config.port}\n  export KUBECONFIG=${home.kubeconfig}\n  kubectl get nodes\n${config.role === 'server' ? `  ./pintle token create --home ${home.folder}   # what another host joins with\n` : ''}`,
  );
}
