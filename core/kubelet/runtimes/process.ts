import { createHash } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Clock,
  type Exec,
  type Log,
  messageOf,
  ownGroupIds,
  ownProgram,
  ownUserId,
  programPath,
  signalGroup,
  signalProcess,
  spawnDetached,
  systemExec,
} from '#base';
import {
  ContainerError,
  type ContainerRuntime,
  type ContainerSpec,
  type ContainerStats,
  type LogLine,
  type LogOptions,
  type Observation,
  type SandboxSpec,
  type SandboxState,
  type Session,
} from '#sdk';
import type { ShimRun } from '../../base/shim.ts';
import { ChangeFeed } from './change-feed.ts';
import {
  type Ability,
  type Command,
  commandOf,
  credentialOptions,
  hostSight,
  imagePlace,
  leftOut,
  ownSight,
  refusals,
  workPlace,
} from './process-command.ts';
import { ensureProcessImage, type FoundImage, findImage, listImages, removeProcessImage } from './process-images.ts';
import { readLog } from './process-logs.ts';
import { enterArgv, hostTree, type Namespaces, probeNamespaces, unshareArgv } from './process-namespaces.ts';
import { type ContainerRecord, containerIdOf, ProcessRecords, writeRecord } from './process-records.ts';
import { attachSession, execSession, socketSession } from './process-sessions.ts';
import { groupUsage } from './process-stats.ts';
import { planRoot } from './root-plan.ts';

export interface ProcessRuntimeOptions {
  /** The cluster's home: images in `images`, everything else in `process`. */
  readonly folder: string;
  readonly clusterId: string;
  readonly clock: Clock;
  readonly log: Log;
  /** First two numbers of the pods' loopback addresses, such as `127.70`; by the cluster's id when absent. */
  readonly ipPrefix?: string;
  readonly exec?: Exec;
  /** False: as where the kernel gives no namespaces. Default: what a probe finds. */
  readonly namespaces?: boolean | Namespaces;
}
const shimPath = new URL('../../base/shim.ts', import.meta.url).pathname;
const watchEveryMs = 250;
const killedWithinMs = 5000;
const podAddressesMax = 65_000;

/**
 * Containers as child processes of this user, with no limits and the host's network and processes in sight. Where the
 * kernel gives a mount namespace (of a user namespace when this is not root), each sees a root of its own with its
 * volumes. What cannot be honoured is refused by name. Every container has a session, a log and an exit code of its own
 * that outlive this process.
 */
export async function createProcessRuntime(options: ProcessRuntimeOptions): Promise<ContainerRuntime> {
  const folder = join(options.folder, 'process');
  mkdirSync(join(folder, 's'), { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o711); // containers of other users reach what is theirs below
  const { exec = systemExec, namespaces = true } = options;
  const found = namespaces === true ? await probeNamespaces(exec, folder, ownUserId()) : namespaces || undefined;
  return new ProcessRuntime(options, found);
}

class ProcessRuntime implements ContainerRuntime {
  readonly name = 'process';
  readonly #options: ProcessRuntimeOptions;
  readonly #records: ProcessRecords;
  readonly #feed = new ChangeFeed();
  readonly #ipPrefix: string;
  readonly #namespaces: Namespaces | undefined;
  readonly #setpriv = programPath('setpriv');
  readonly #able: Ability;
  #lastIp = 0;

  constructor(options: ProcessRuntimeOptions, namespaces: Namespaces | undefined) {
    this.#options = options;
    this.#namespaces = this.#setpriv ? namespaces : undefined;
    this.#able = {
      userId: ownUserId(),
      groupIds: ownGroupIds(),
      ownRoot: this.#namespaces !== undefined,
      setpriv: this.#setpriv !== undefined,
    };
    this.#records = new ProcessRecords(options.folder);
    const hash = createHash('sha256').update(options.clusterId).digest();
    this.#ipPrefix = options.ipPrefix ?? `127.${64 + (hash[0]! % 128)}`;
  }

  async version() {
    return '1.0.0';
  }
  async ensureImage(image: string, policy: 'Always' | 'IfNotPresent' | 'Never') {
    return ensureProcessImage(this.#options.folder, image, policy);
  }
  async images() {
    return listImages(this.#options.folder).map((image) => image.info);
  }
  async removeImage(id: string) {
    removeProcessImage(this.#options.folder, id);
  }

  async ensureSandbox(spec: SandboxSpec): Promise<SandboxState> {
    const present = this.#records.sandboxes(spec.podUid)[0];
    if (present && this.#records.isReady(present) && present.spec.attempt === spec.attempt)
      return this.#records.sandboxState(present);
    if (spec.sysctls && Object.keys(spec.sysctls).length > 0)
      throw new ContainerError(
        'CreatePodSandboxError',
        'the process runtime cannot set sysctls; use a container engine',
      );
    const ip = spec.network === 'host' ? undefined : (present?.ip ?? this.#freeIp());
    return this.#records.sandboxState(this.#records.addSandbox(spec, ip, this.#options.clock.now()));
  }

  /** The search goes round, so that an address that was just given back comes last. */
  #freeIp(): string {
    const taken = new Set(this.#records.sandboxes().map((record) => record.ip));
    for (let step = 0; step < podAddressesMax; step++) {
      this.#lastIp = (this.#lastIp % podAddressesMax) + 1;
      const ip = `${this.#ipPrefix}.${Math.floor(this.#lastIp / 256)}.${this.#lastIp % 256}`;
      if (!taken.has(ip) && this.#lastIp % 256 !== 0 && this.#lastIp % 256 !== 255) return ip;
    }
    throw new ContainerError('CreatePodSandboxError', `no pod address is left in ${this.#ipPrefix}.0.0/16`);
  }

  async endSandbox(podUid: string) {
    this.#records.removeSandbox(podUid);
    this.#feed.publish(podUid);
  }

  async removeSandbox(podUid: string) {
    this.#records.refresh(podUid);
    await Promise.all(this.#records.containers(podUid).map((record) => this.remove(record.id)));
    this.#records.removePod(podUid);
    this.#feed.publish(podUid);
  }

  leavesOut(spec: ContainerSpec): readonly string[] {
    return leftOut(spec, this.#able);
  }

  async create(spec: ContainerSpec): Promise<string> {
    const sandbox = this.#records.sandboxes(spec.podUid)[0];
    if (!sandbox || !this.#records.isReady(sandbox))
      throw new ContainerError('CreateContainerError', `pod ${spec.podName} has no running sandbox`);
    const refused = refusals(spec, this.#able);
    if (refused.length > 0)
      throw new ContainerError(
        'CreateContainerError',
        `the process runtime cannot give container ${spec.name} ${refused.join(', ')}; use a container engine ("pintle up --runtime docker")`,
      );
    const id = containerIdOf(spec);
    if (this.#records.container(id)) return id;
    const record = this.#records.addContainer(spec, this.#options.clock.now(), this.#able.ownRoot);
    const { runAsUser, runAsGroup } = spec.security;
    if (this.#able.userId === 0 && runAsUser) chownSync(join(record.folder, 'work'), runAsUser, runAsGroup ?? 0);
    return id;
  }

  #imageOf(record: ContainerRecord): FoundImage {
    const { imageId, image } = record.spec;
    const found = findImage(this.#options.folder, imageId) ?? findImage(this.#options.folder, image);
    if (!found) throw new ContainerError('RunContainerError', `the image ${image} is gone from the home folder`);
    return found;
  }

  /** The program with its folder and user, to be started where the container's files are in sight. */
  #commandOf(record: ContainerRecord, command?: readonly string[]): Command {
    const { spec } = record;
    const image = this.#imageOf(record);
    const sandbox = this.#records.sandboxes(spec.podUid)[0];
    const work = join(record.folder, 'work');
    const sight = record.ownRoot ? ownSight(image, work, spec.mounts) : hostSight(image, work);
    const found = commandOf(command ? { ...spec, command, args: [] } : spec, image, {
      env: {
        HOSTNAME: sandbox?.spec.hostname ?? spec.podName,
        HOME: sight.workFolder,
        TMPDIR: sight.workFolder,
        ...(sandbox?.ip ? { POD_IP: sandbox.ip } : {}),
      },
      sight,
    });
    if (typeof found === 'string') throw new ContainerError('RunContainerError', found);
    const user = this.#setpriv ? [this.#setpriv, ...credentialOptions(spec.security, this.#able.userId), '--'] : [];
    if (!record.ownRoot) return { ...found, argv: [...user, ...found.argv] };
    const folder = [this.#namespaces?.env ?? 'env', `--chdir=${found.cwd}`];
    return { ...found, argv: [...folder, ...user, ...found.argv], cwd: '/' };
  }

  /** What the container's shim starts, and how the shim itself is started. */
  #startOf(record: ContainerRecord): { run: ShimRun; before: readonly string[] } {
    const { stdin, stdinOnce, tty, mounts, security, podUid, podName } = record.spec;
    const run = { ...this.#commandOf(record), stdin, stdinOnce, tty, socketPath: this.#socketPath(record.id) };
    if (!record.ownRoot) return { run, before: [] };
    const spaces = this.#namespaces;
    if (!spaces) throw new ContainerError('RunContainerError', 'this machine no longer gives mount namespaces');
    const own = [
      { hostPath: this.#imageOf(record).root, containerPath: imagePlace, readOnly: true },
      { hostPath: join(record.folder, 'work'), containerPath: workPlace, readOnly: security.readOnlyRoot },
    ];
    const steps = planRoot([...mounts, ...own], hostTree, security.readOnlyRoot);
    if (typeof steps === 'string') throw new ContainerError('RunContainerError', steps);
    const folder = join(record.folder, 'root');
    const hostname = this.#records.sandboxes(podUid)[0]?.spec.hostname ?? podName;
    return {
      run: { ...run, argv: [spaces.chroot, folder, ...run.argv], root: { folder, steps, hostname } },
      before: unshareArgv(spaces),
    };
  }

  async start(containerId: string) {
    const record = this.#records.container(containerId);
    if (!record) throw new ContainerError('RunContainerError', `No such container: ${containerId}`);
    if (this.#records.statusOf(record) || this.#records.exitOf(record)) return;
    try {
      const { run, before } = this.#startOf(record);
      writeRecord(join(record.folder, 'run.json'), run);
      const argv = [...before, ownProgram(), '--smol', shimPath, record.folder];
      const shim = await spawnDetached(argv, { BUN_BE_BUN: '1' });
      if (shim.firstLine.startsWith('error ')) throw new ContainerError('RunContainerError', shim.firstLine.slice(6));
      if (shim.firstLine !== 'started' && shim.firstLine !== 'claimed')
        throw new ContainerError(
          'RunContainerError',
          `the container's shim ended: ${shim.firstLine || 'without a word'}`,
        );
      void shim.exited.then(() => this.#feed.publish(record.spec.podUid));
    } catch (error) {
      if (!this.#records.exitOf(record))
        this.#records.writeExit(record, {
          exitCode: 128,
          finishedAtMs: this.#options.clock.now(),
          error: messageOf(error),
        });
      throw error;
    } finally {
      this.#feed.publish(record.spec.podUid);
    }
  }

  /** Short, because a socket's path has at most 107 bytes. */
  #socketPath(containerId: string): string {
    return join(this.#options.folder, 'process', 's', containerId.slice(0, 12));
  }

  async stop(containerId: string, graceMs: number) {
    const record = this.#records.container(containerId);
    if (!record || this.#records.statusOf(record) === undefined) return;
    if (graceMs > 0) {
      const pid = this.#records.runningPid(record);
      if (pid !== undefined) signalProcess(pid, signalName(record.spec.stopSignal)); // the main program only, as engines do
      if (await this.#ended(record, graceMs)) return;
    }
    const pid = this.#records.runningPid(record);
    if (pid !== undefined) signalGroup(pid, 'SIGKILL');
    if (!(await this.#ended(record, killedWithinMs))) throw new Error(`container ${record.spec.name} outlives SIGKILL`);
  }

  async #ended(record: ContainerRecord, withinMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const deadline = clock.monotonicMs() + withinMs;
    for (let waitMs = 5; ; waitMs = Math.min(100, waitMs * 2)) {
      if (this.#records.containerState(record, clock.now()).state !== 'running') return true;
      if (clock.monotonicMs() >= deadline) return false;
      await clock.sleep(waitMs);
    }
  }

  async remove(containerId: string) {
    const record = this.#records.container(containerId);
    if (!record) return;
    await this.stop(containerId, 0);
    this.#records.removeContainer(record);
    for (const end of ['', 'r']) rmSync(this.#socketPath(containerId) + end, { force: true });
    this.#feed.publish(record.spec.podUid);
  }

  async observe(podUid?: string): Promise<Observation> {
    const now = this.#options.clock.now();
    this.#records.refresh(podUid);
    return {
      sandboxes: this.#records.sandboxes(podUid).map((record) => this.#records.sandboxState(record)),
      containers: this.#records.containers(podUid).map((record) => this.#records.containerState(record, now)),
    };
  }

  /** Ends of own children are told at once; those of adopted ones are looked for. */
  changes(signal: AbortSignal) {
    void this.#watch(signal);
    return this.#feed.subscribe(signal);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const seen = new Map<string, string>();
    while (!signal.aborted) {
      for (const record of this.#records.containers()) {
        if (seen.get(record.id) === 'exited') continue;
        const { state } = this.#records.containerState(record, this.#options.clock.now());
        if (seen.has(record.id) && seen.get(record.id) !== state) this.#feed.publish(record.spec.podUid);
        seen.set(record.id, state);
      }
      for (const id of seen.keys()) if (!this.#records.container(id)) seen.delete(id);
      await this.#options.clock.sleep(watchEveryMs, signal);
    }
  }

  logs(containerId: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    const record = this.#records.container(containerId);
    if (!record) throw new Error(`No such container: ${containerId}`);
    const { clock } = this.#options;
    return readLog(join(record.folder, 'log'), options, {
      clock,
      signal,
      ended: () => this.#records.containerState(record, clock.now()).state !== 'running',
    });
  }

  #running(containerId: string): ContainerRecord {
    const record = this.#records.container(containerId);
    if (!record || this.#records.runningPid(record) === undefined)
      throw new Error(`container ${record?.spec.name ?? containerId} is not running`);
    return record;
  }

  async exec(
    containerId: string,
    options: { command: readonly string[]; tty: boolean; stdin: boolean; signal?: AbortSignal },
  ): Promise<Session> {
    const record = this.#running(containerId);
    const command = this.#commandOf(record, options.command);
    const pid = this.#records.runningPid(record);
    const inside = record.ownRoot && pid !== undefined;
    if (inside && !this.#namespaces) throw new Error('this machine no longer gives mount namespaces');
    const before = inside ? enterArgv(this.#namespaces!, pid) : [];
    const session = execSession({ ...command, argv: [...before, ...command.argv] }, options);
    void this.#endWith(record, session);
    return session;
  }

  /** Without a process namespace nothing else ends what runs beside a container's main program. */
  async #endWith(record: ContainerRecord, session: Session): Promise<void> {
    const done = new AbortController();
    void session.done.finally(() => done.abort());
    while (!done.signal.aborted && this.#records.runningPid(record) !== undefined)
      await this.#options.clock.sleep(watchEveryMs, done.signal);
    if (!done.signal.aborted) session.close();
  }

  async attach(containerId: string, options: { tty: boolean; stdin: boolean; signal?: AbortSignal }) {
    const { tty } = this.#running(containerId).spec;
    return attachSession(this.#socketPath(containerId), { ...options, tty });
  }

  async dial(podUid: string, port: number, signal?: AbortSignal): Promise<Session> {
    const host = this.#records.sandboxes(podUid)[0]?.ip ?? '127.0.0.1';
    return socketSession({ host, port }, { tty: true, stdin: true, ...(signal ? { signal } : {}) });
  }

  async stats(): Promise<ContainerStats[]> {
    const groups = groupUsage();
    return this.#records.containers().flatMap((record) => {
      const pid = this.#records.runningPid(record);
      const usage = pid === undefined ? undefined : groups.get(pid);
      if (!usage) return [];
      const { podUid, name } = record.spec;
      const { cpuUsageNs, memoryBytes } = usage;
      const timeMs = this.#options.clock.now();
      return [{ podUid, container: name, timeMs, cpuUsageNs, memoryWorkingSetBytes: memoryBytes }];
    });
  }

  async [Symbol.asyncDispose]() {} // containers outlive this process
}

const signalName = (text: string | undefined): NodeJS.Signals =>
  (text ? (text.startsWith('SIG') ? text : `SIG${text}`) : 'SIGTERM') as NodeJS.Signals;
