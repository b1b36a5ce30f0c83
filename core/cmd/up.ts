import { existsSync, rmSync } from 'node:fs';
import { createLog, PintleError, systemExec } from '#base';
import { componentsOf, launch, readRunState, selfArgv } from './components.ts';
import { ensureCredentials } from './credentials.ts';
import { decide, type UpOptions } from './decide.ts';
import { checksOf } from './doctor/checks.ts';
import { inspectMachine, type Machine } from './doctor/machine.ts';
import { privateEngine } from './engine.ts';
import { forgetFailure } from './failure.ts';
import { chooseConfig, claimFolder, portIsFree } from './first-start.ts';
import { type Config, type Home, openHome } from './home.ts';
import { installKubectl, installPackages, packagesMissing } from './install.ts';
import { supervisorRuns, takeTurn } from './lock.ts';
import { chooseAlone, register } from './neighbours.ts';
import { isAlive, waitUntil } from './processes.ts';
import { createProgress, type Progress } from './progress.ts';
import { pickRanges } from './ranges.ts';
import { waitForNode } from './ready.ts';

/** `up`: brings a cluster to Ready. Twice is harmless. Foreground unless --detach. */
export async function up(options: UpOptions): Promise<void> {
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
  for (const name of componentsOf(config)) forgetFailure(home, name); // why an earlier start failed is not why this one would
  await (options.detach ? background(home, config, progress, turn) : foreground(home, config, progress, turn));
}

const readyLimitMs = 120_000;

/** Starts the supervisor in a session of its own. A start that fails, or is interrupted, ends it again. */
async function background(home: Home, config: Config, progress: Progress, turn: Disposable): Promise<void> {
  for (const name of componentsOf(config)) forgetFailure(home, name); // of a former start
  const child = launch(home, 'supervisor', selfArgv(home, 'supervise'));
  const stop = stopOnSignal();
  const died = child.exited.then((code) => {
    if (stop.signal.aborted) return;
    throw new PintleError(
      'SUPERVISOR_ENDED',
      `the supervisor ended with code ${code}`,
      `see ./pintle logs supervisor --home ${home.folder}`,
    );
  });
  died.catch(() => {}); // it also ends when a failed start is undone
  try {
    await progress.step('starting the cluster', async () => {
      await Promise.race([died, waitUntil(() => stop.signal.aborted || supervisorRuns(home), readyLimitMs)]);
      turn[Symbol.dispose]();
      await Promise.race([died, waitForNode(home, config, readyLimitMs, stop.signal)]);
      if (stop.signal.aborted) throw interrupted(home);
    });
  } catch (error) {
    await (await import('./down.ts')).stopAll(home); // the supervisor, and what a crashed one left running
    throw error;
  }
  announce(home, config);
}

const interrupted = (home: Home): PintleError =>
  new PintleError(
    'INTERRUPTED',
    'the start was interrupted; what had started is stopped',
    `go on with ./pintle up --home ${home.folder}, or remove it with ./pintle down --purge`,
  );

function stopOnSignal(): AbortController {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
  return stop;
}

async function prepare(home: Home, options: UpOptions, progress: Progress): Promise<Config> {
  const first = !home.exists();
  if (!first) {
    const config = home.read();
    checkPort(config.port, home);
    checkPort(config.kubeletPort, home);
    await ensureCredentials(home, config);
    register(home, config); // the registry is lost at a reboot
    return config;
  }
  void import('../wire/pki.ts'); // takes 100 ms to load: while the machine's programs are asked
  let machine = await inspectMachine(systemExec, home.folder);
  const bad = checksOf(machine).find((check) => check.state === 'bad');
  if (bad) throw new PintleError('MACHINE_UNFIT', `${bad.name}: ${bad.detail}`, bad.fix ?? 'see ./pintle doctor');
  machine = await mend(machine, home, options, progress);
  if (options.port !== undefined) checkPort(options.port, home);
  const decision = decide(machine, options.runtime, privateEngine(home).socket);
  for (const note of decision.notes) progress.note(note);
  return chooseAlone(async () => {
    const config = await chooseConfig(home, options, decision, systemExec);
    await ensureCredentials(home, config);
    home.write(config); // last: a home with a configuration is complete
    register(home, config);
    return config;
  });
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
      progress.note(`${error instanceof PintleError ? `${error.message}; ${error.next}` : String(error)}`); // the cluster works without
    }
  } else if (needsKubectl)
    progress.note('kubectl 1.31 or newer is not on PATH; add --yes to have one put into the home folder');
  return missing.length > 0 || !machine.engine ? inspectMachine(systemExec, home.folder, { kubectl: false }) : machine;
}

function checkPort(port: number, home: Home): void {
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
  const asked: [string, unknown, unknown][] = [
    ['--port', options.port, config.port],
    ['--pod-cidr', options.podCidr, config.podCidr],
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

function announce(home: Home, config: Config): void {
  process.stdout.write(
    `The cluster is ready at https://127.0.0.1:${config.port}\n  export KUBECONFIG=${home.kubeconfig}\n  kubectl get nodes\n`,
  );
}

async function foreground(home: Home, config: Config, progress: Progress, turn: Disposable): Promise<void> {
  const { Supervisor } = await import('./supervisor.ts');
  const stop = stopOnSignal();
  const log = createLog(() => {}, { now: Date.now });
  const supervisor = new Supervisor(home, config, log).run(stop.signal);
  turn[Symbol.dispose](); // the supervisor's own lock holds from here
  try {
    await progress.step(`starting ${componentsOf(config).join(', ')}`, () =>
      Promise.race([supervisor, waitForNode(home, config, readyLimitMs, stop.signal)]),
    );
    if (!stop.signal.aborted) {
      announce(home, config);
      progress.note('Ctrl-C stops the cluster; containers keep running for the next ./pintle up');
    }
  } catch (error) {
    stop.abort();
    await supervisor;
    throw error;
  }
  await supervisor;
  progress.note('stopped; containers keep running');
  process.exit(0);
}
