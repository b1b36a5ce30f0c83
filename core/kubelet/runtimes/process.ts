import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, type Log, messageOf, ownProgram, ownUserId, signalGroup, spawnDetached } from '#base';
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
import { ChangeFeed } from './change-feed.ts';
import { type Command, commandOf, refusals } from './process-command.ts';
import { ensureProcessImage, findImage, listImages, removeProcessImage } from './process-images.ts';
import { readLog } from './process-logs.ts';
import { type ContainerRecord, containerIdOf, ProcessRecords, writeRecord } from './process-records.ts';
import { execSession, socketSession } from './process-sessions.ts';
import { groupUsage } from './process-stats.ts';

export interface ProcessRuntimeOptions {
  /** The cluster's home: images in `images`, everything else in `process`. */
  readonly folder: string;
  readonly clusterId: string;
  readonly clock: Clock;
  readonly log: Log;
  /** First two numbers of the pods' loopback addresses, such as `127.70`; by the cluster's id when absent. */
  readonly ipPrefix?: string;
}
const shimPath = new URL('../../base/shim.ts', import.meta.url).pathname;
const watchEveryMs = 250;
const killedWithinMs = 5000;
const podAddressesMax = 65_000;

/**
 * Containers as plain child processes: no namespaces, no root, no limits. What that cannot honour is refused by name.
 * Every container has a session, a log and an exit code of its own that outlive this process.
 */
export async function createProcessRuntime(options: ProcessRuntimeOptions): Promise<ContainerRuntime> {
  return new ProcessRuntime(options);
}

class ProcessRuntime implements ContainerRuntime {
  readonly name = 'process';
  readonly #options: ProcessRuntimeOptions;
  readonly #records: ProcessRecords;
  readonly #feed = new ChangeFeed();
  readonly #ipPrefix: string;
  #lastIp = 0;

  constructor(options: ProcessRuntimeOptions) {
    this.#options = options;
    this.#records = new ProcessRecords(options.folder);
    const hash = createHash('sha256').update(options.clusterId).digest();
    this.#ipPrefix = options.ipPrefix ?? `127.${64 + (hash[0]! % 128)}`;
    mkdirSync(join(options.folder, 'process', 's'), { recursive: true, mode: 0o700 });
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
    await Promise.all(this.#records.containers(podUid).map((record) => this.remove(record.id)));
    this.#records.removePod(podUid);
    this.#feed.publish(podUid);
  }

  async create(spec: ContainerSpec): Promise<string> {
    const sandbox = this.#records.sandboxes(spec.podUid)[0];
    if (!sandbox || !this.#records.isReady(sandbox))
      throw new ContainerError('CreateContainerError', `pod ${spec.podName} has no running sandbox`);
    const refused = refusals(spec, ownUserId());
    if (refused.length > 0)
      throw new ContainerError(
        'CreateContainerError',
        `the process runtime cannot give container ${spec.name} ${refused.join(', ')}; use a container engine ("pintle up --runtime docker")`,
      );
    const id = containerIdOf(spec);
    if (!this.#records.container(id)) this.#records.addContainer(spec, this.#options.clock.now());
    return id;
  }

  #commandOf(record: ContainerRecord, command?: readonly string[]): Command {
    const image =
      findImage(this.#options.folder, record.spec.imageId) ?? findImage(this.#options.folder, record.spec.image);
    if (!image)
      throw new ContainerError('RunContainerError', `the image ${record.spec.image} is gone from the home folder`);
    const sandbox = this.#records.sandboxes(record.spec.podUid)[0];
    const work = join(record.folder, 'work');
    const found = commandOf(command ? { ...record.spec, command, args: [] } : record.spec, image, {
      env: {
        HOSTNAME: sandbox?.spec.hostname ?? record.spec.podName,
        HOME: work,
        TMPDIR: work,
        ...(sandbox?.ip ? { POD_IP: sandbox.ip } : {}),
      },
      workFolder: work,
    });
    if (typeof found === 'string') throw new ContainerError('RunContainerError', found);
    return found;
  }

  async start(containerId: string) {
    const record = this.#records.container(containerId);
    if (!record) throw new ContainerError('RunContainerError', `No such container: ${containerId}`);
    if (this.#records.statusOf(record) || this.#records.exitOf(record)) return;
    try {
      const { stdin, stdinOnce } = record.spec;
      const run = { ...this.#commandOf(record), stdin, stdinOnce, socketPath: this.#socketPath(containerId) };
      writeRecord(join(record.folder, 'run.json'), run);
      const shim = await spawnDetached([ownProgram(), '--smol', shimPath, record.folder], { BUN_BE_BUN: '1' });
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
      this.#signal(record, signalName(record.spec.stopSignal));
      if (await this.#ended(record, graceMs)) return;
    }
    this.#signal(record, 'SIGKILL');
    if (!(await this.#ended(record, killedWithinMs))) throw new Error(`container ${record.spec.name} outlives SIGKILL`);
  }

  #signal(record: ContainerRecord, signal: NodeJS.Signals): void {
    const pid = this.#records.runningPid(record);
    if (pid !== undefined) signalGroup(pid, signal);
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
    rmSync(this.#socketPath(containerId), { force: true });
    this.#feed.publish(record.spec.podUid);
  }

  async observe(podUid?: string): Promise<Observation> {
    const now = this.#options.clock.now();
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
    return execSession(this.#commandOf(this.#running(containerId), options.command), options);
  }

  async attach(containerId: string, options: { tty: boolean; stdin: boolean; signal?: AbortSignal }) {
    this.#running(containerId);
    return socketSession({ path: this.#socketPath(containerId) }, { ...options, tty: false });
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
