import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerSpec, ContainerState, SandboxSpec, SandboxState } from '#sdk';
import { bootId, type ShimExit, type ShimStatus, startTicksOf } from '../../base/shim.ts';

/** What the process runtime keeps on disk: `HOME/process/pods/UID/{sandbox.json,containers/NAME-ATTEMPT/…}`. */
export interface SandboxRecord {
  readonly spec: SandboxSpec;
  readonly ip?: string;
  readonly createdAtMs: number;
  readonly bootId: string;
}
export interface ContainerRecord {
  readonly id: string;
  readonly spec: ContainerSpec;
  readonly createdAtMs: number;
  /** It sees a root of its own, in which its volumes are mounted. */
  readonly ownRoot?: boolean;
  readonly folder: string;
}
const read = <T>(path: string): T | undefined => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined; // absent: files are written whole
  }
};
const folders = (path: string) => (existsSync(path) ? readdirSync(path) : []);
export function writeRecord(path: string, value: object): void {
  writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
export const containerIdOf = (spec: Pick<ContainerSpec, 'podUid' | 'name' | 'attempt'>): string =>
  createHash('sha256').update(`${spec.podUid}/${spec.name}/${spec.attempt}`).digest('hex');

export class ProcessRecords {
  readonly #pods: string;
  readonly #containers = new Map<string, ContainerRecord>();
  readonly #bootId = bootId();

  constructor(home: string) {
    this.#pods = join(home, 'process', 'pods');
    mkdirSync(this.#pods, { recursive: true, mode: 0o711 });
    this.refresh();
  }

  /** Takes up what other processes have made or removed since (a demo, a purge, the kubelet before this one). */
  refresh(podUid?: string): void {
    const present = new Set<string>();
    for (const uid of podUid === undefined ? folders(this.#pods) : [podUid])
      for (const name of folders(join(this.podFolder(uid), 'containers')))
        present.add(join(this.podFolder(uid), 'containers', name));
    for (const [id, record] of this.#containers)
      if ((podUid === undefined || record.spec.podUid === podUid) && !present.delete(record.folder))
        this.#containers.delete(id);
    for (const folder of present) {
      const record = read<Omit<ContainerRecord, 'folder'>>(join(folder, 'container.json'));
      if (record) this.#containers.set(record.id, { ...record, folder }); // else: being made now, or torn; it goes with its pod
    }
  }

  podFolder(uid: string): string {
    if (!/^[\w.-]+$/.test(uid) || uid.startsWith('.')) throw new Error(`${uid} is no pod uid`);
    return join(this.#pods, uid);
  }
  sandboxes(podUid?: string): SandboxRecord[] {
    return (podUid ? [podUid] : folders(this.#pods))
      .map((uid) => read<SandboxRecord>(join(this.podFolder(uid), 'sandbox.json')))
      .filter((record) => record !== undefined);
  }
  /** After a boot every sandbox of before is dead. */
  isReady(record: SandboxRecord): boolean {
    return record.bootId === this.#bootId;
  }
  addSandbox(spec: SandboxSpec, ip: string | undefined, createdAtMs: number): SandboxRecord {
    mkdirSync(this.podFolder(spec.podUid), { recursive: true, mode: 0o700 });
    const record = { spec, ...(ip ? { ip } : {}), createdAtMs, bootId: this.#bootId };
    writeRecord(join(this.podFolder(spec.podUid), 'sandbox.json'), record);
    return record;
  }
  sandboxState(record: SandboxRecord): SandboxState {
    const { spec } = record;
    return {
      id: createHash('sha256').update(`${spec.podUid}/${spec.attempt}`).digest('hex'),
      podUid: spec.podUid,
      podName: spec.podName,
      podNamespace: spec.podNamespace,
      attempt: spec.attempt,
      ready: this.isReady(record),
      createdAtMs: record.createdAtMs,
      ...(record.ip ? { ips: [record.ip] } : {}),
    };
  }

  containers(podUid?: string): ContainerRecord[] {
    return [...this.#containers.values()].filter((each) => podUid === undefined || each.spec.podUid === podUid);
  }
  container(id: string): ContainerRecord | undefined {
    if (!this.#containers.has(id)) this.refresh();
    return this.#containers.get(id);
  }
  addContainer(spec: ContainerSpec, createdAtMs: number, ownRoot: boolean): ContainerRecord {
    const id = containerIdOf(spec);
    const folder = join(this.podFolder(spec.podUid), 'containers', `${spec.name}-${spec.attempt}`);
    mkdirSync(join(folder, 'work'), { recursive: true, mode: 0o700 });
    mkdirSync(join(folder, 'root'), { recursive: true, mode: 0o755 });
    writeRecord(join(folder, 'container.json'), { id, spec, createdAtMs, ownRoot });
    const record = { id, spec, createdAtMs, ownRoot, folder };
    this.#containers.set(id, record);
    return record;
  }
  removeContainer(record: ContainerRecord): void {
    rmSync(record.folder, { recursive: true, force: true });
    this.#containers.delete(record.id);
  }
  /** Gives the address back; the pod's containers stay. */
  removeSandbox(podUid: string): void {
    rmSync(join(this.podFolder(podUid), 'sandbox.json'), { force: true });
  }
  removePod(podUid: string): void {
    for (const record of this.containers(podUid)) this.#containers.delete(record.id);
    rmSync(this.podFolder(podUid), { recursive: true, force: true });
  }

  /** The program's pid while it runs: the very process that was started, not a later one with its number. */
  runningPid(record: ContainerRecord): number | undefined {
    if (this.exitOf(record)) return undefined;
    const status = this.statusOf(record);
    return status && status.bootId === this.#bootId && startTicksOf(status.pid) === status.startTicks
      ? status.pid
      : undefined;
  }
  statusOf(record: ContainerRecord): ShimStatus | undefined {
    return read<ShimStatus>(join(record.folder, 'status.json'));
  }
  exitOf(record: ContainerRecord): ShimExit | undefined {
    return read<ShimExit>(join(record.folder, 'exit.json'));
  }
  writeExit(record: ContainerRecord, exit: ShimExit): void {
    writeRecord(join(record.folder, 'exit.json'), exit);
  }

  /** Running until the shim has left the exit code; a program that ended with its shim gone has code 255. */
  containerState(record: ContainerRecord, nowMs: number): ContainerState {
    const status = this.statusOf(record);
    let exit = this.exitOf(record);
    if (!exit && status && this.runningPid(record) === undefined) {
      const shimLives = status.bootId === this.#bootId && startTicksOf(status.shimPid) === status.shimTicks;
      exit = this.exitOf(record);
      if (!exit && !shimLives) {
        exit = { exitCode: 255, finishedAtMs: nowMs, error: 'the process ended while nobody watched it' };
        this.writeExit(record, exit);
      }
    }
    const { spec } = record;
    return {
      id: record.id,
      podUid: spec.podUid,
      podName: spec.podName,
      podNamespace: spec.podNamespace,
      name: spec.name,
      attempt: spec.attempt,
      state: exit ? 'exited' : status ? 'running' : 'created',
      image: spec.image,
      imageId: spec.imageId,
      specHash: spec.specHash,
      annotations: spec.annotations ?? {},
      createdAtMs: record.createdAtMs,
      ...(status ? { startedAtMs: status.startedAtMs } : {}),
      ...(exit ? { exitCode: exit.exitCode, finishedAtMs: exit.finishedAtMs, oomKilled: false } : {}),
      ...(exit?.error ? { error: exit.error } : {}),
    };
  }
}
