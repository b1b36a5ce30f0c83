import { type Clock, type Log, ownArch } from '#base';
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
import { dialThroughChild } from './dial.ts';
import { type Dialect, dialectOf, endedName, FailedStarts, isEndedName } from './docker-dialect.ts';
import { DockerEngine, inspectContainer } from './docker-engine.ts';
import { HeldAttachments } from './docker-held.ts';
import { engineMessage, ensureDockerImage, ensurePauseImage, inspectImage, isStatus } from './docker-images.ts';
import { dockerLogs } from './docker-logs.ts';
import { DockerMemory } from './docker-memory.ts';
import { attachSession, execSession } from './docker-sessions.ts';
import {
  containerBody,
  containerName,
  joinOf,
  labels,
  type SandboxJoin,
  sandboxBody,
  sandboxName,
} from './docker-specs.ts';
import { containerState, type ListedContainer, sandboxState } from './docker-states.ts';
import { dockerStats } from './docker-stats.ts';
import { DockerView, eachAtMost, inspectionsAtOnceMax } from './docker-view.ts';
import { probeOomScoreFloor } from './oom-score.ts';

export interface DockerRuntimeOptions {
  readonly socketPath: string;
  readonly clusterId: string;
  readonly stateFolder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The lowest oom_score_adj to ask for; probed when absent. */
  readonly oomScoreFloor?: number;
}

/** Containers by any engine that serves Docker's API. */
export async function createDockerRuntime(options: DockerRuntimeOptions): Promise<ContainerRuntime> {
  const engine = new DockerEngine(options.socketPath);
  const dialect = await dialectOf(engine);
  return new DockerRuntime(engine, options, options.oomScoreFloor ?? probeOomScoreFloor(), dialect);
}

class DockerRuntime implements ContainerRuntime {
  /** Of the node's version and of container ids. */
  readonly name: string;
  readonly #joins = new Map<string, SandboxJoin>();
  readonly #memory = new DockerMemory();
  readonly #failedStarts = new FailedStarts();
  readonly #view: DockerView;
  readonly #held: HeldAttachments | undefined;
  #pause: Promise<string> | undefined;

  constructor(
    readonly engine: DockerEngine,
    readonly options: DockerRuntimeOptions,
    readonly oomScoreFloor: number,
    readonly dialect: Dialect,
  ) {
    this.name = dialect.product.toLowerCase();
    this.#view = new DockerView(engine, options, this.#memory, this.#failedStarts);
    this.#held = dialect.endsInputWithReader ? new HeldAttachments() : undefined;
  }

  async version() {
    return (await this.engine.call<{ Version: string }>('GET', '/version')).Version;
  }

  ensureImage(image: string, policy: 'Always' | 'IfNotPresent' | 'Never', signal: AbortSignal) {
    return ensureDockerImage(this.engine, image, policy, signal);
  }

  async images() {
    return (await this.engine.call<ListedImage[]>('GET', '/images/json')).map((image) => ({
      id: image.Id,
      names: (image.RepoTags ?? []).filter((name) => name !== '<none>:<none>'),
      digests: (image.RepoDigests ?? []).filter((name) => !name.startsWith('<none>')),
      sizeBytes: image.Size,
    }));
  }

  async removeImage(id: string) {
    await ignoring([404], this.engine.call('DELETE', `/images/${id}`));
  }

  async ensureSandbox(spec: SandboxSpec): Promise<SandboxState> {
    const name = sandboxName(this.options.clusterId, spec);
    this.#pause ??= ensurePauseImage(this.engine, ownArch());
    const image = await this.#pause.catch((error) => {
      this.#pause = undefined;
      throw new ContainerError('CreatePodSandboxError', `cannot make the pause image: ${engineMessage(error)}`);
    });
    const plain = sandboxBody(this.options.clusterId, spec, image, this.oomScoreFloor);
    try {
      const body = await this.dialect.adapt(this.engine, plain);
      if (spec.attempt > 0) await this.#removeFormerSandboxes(spec);
      const id = await this.#createOnce(name, body, spec.podUid, spec.attempt === 0);
      await this.#startNow(id);
      const details = await inspectContainer(this.engine, id);
      if (details.State.Status !== 'running')
        throw new Error(details.State.Error || 'the pause container ended at once');
      this.#memory.keep(details);
      this.#joins.set(spec.podUid, joinOf(id, body.Labels));
      return sandboxState(
        { Id: id, Names: [name], ImageID: image, Image: image, Created: 0, State: 'running', Labels: body.Labels },
        details,
      );
    } catch (error) {
      if (isStatus(error, 404)) this.#pause = undefined; // somebody removed the pause image
      throw new ContainerError('CreatePodSandboxError', engineMessage(error));
    }
  }

  /** What still runs in them cannot reach the pod's new network any more; their containers' logs stay. */
  async #removeFormerSandboxes(spec: SandboxSpec): Promise<void> {
    for (const row of await this.#view.list(spec.podUid))
      if (isSandbox(row) && Number(row.Labels[labels.attempt]) < spec.attempt) await this.#end(row);
  }

  /** Of a sandbox whose containers stay. */
  async #end(row: ListedContainer): Promise<void> {
    if (!this.dialect.keepsJoined) return this.remove(row.Id);
    if (isEndedName(row.Names)) return;
    await this.stop(row.Id, 0);
    const name = endedName(row.Names[0] ?? row.Id);
    await ignoring([404], this.engine.call('POST', `/containers/${row.Id}/rename`, { query: { name } }));
    this.#memory.drop(row.Id);
  }

  /** The name makes it idempotent: what has it already is taken, or replaced when it is a dead sandbox. */
  async #createOnce(name: string, body: object, podUid: string, first = false): Promise<string> {
    const create = async () =>
      (await this.engine.call<{ Id: string }>('POST', '/containers/create', { query: { name }, body })).Id;
    try {
      const id = await create();
      this.#memory.created(podUid, id, first);
      return id;
    } catch (error) {
      if (!isStatus(error, 409) && !engineMessage(error).includes('is already in use')) throw error; // 500 by Podman
      this.#memory.forgetPod(podUid); // somebody was here before us: ask for the whole
      const present = await inspectContainer(this.engine, name);
      const isSandbox = present.Config.Labels[labels.type] === 'sandbox';
      if (!isSandbox || present.State.Status === 'running' || present.State.Status === 'created') return present.Id;
      await ignoring([404, 409], this.#delete(present.Id));
      return create();
    }
  }
  #delete(id: string): Promise<void> {
    return this.engine.call('DELETE', `/containers/${id}`, { query: { force: 1, v: 1 } });
  }
  async #startNow(id: string): Promise<void> {
    this.#memory.starts(id);
    this.#failedStarts.forget(id);
    await this.engine.call('POST', `/containers/${id}/start`);
  }

  async endSandbox(podUid: string) {
    const sandboxes = (await this.#view.list(podUid)).filter(isSandbox);
    await Promise.all(sandboxes.map((row) => this.#end(row)));
    this.#joins.delete(podUid);
  }

  async removeSandbox(podUid: string) {
    const rows = await this.#view.list(podUid);
    await Promise.all(rows.filter((row) => !isSandbox(row)).map((row) => this.remove(row.Id)));
    await Promise.all(rows.filter(isSandbox).map((row) => this.remove(row.Id)));
    this.#joins.delete(podUid);
  }

  async create(spec: ContainerSpec): Promise<string> {
    const join = await this.#joinOf(spec.podUid);
    if (!join) throw new ContainerError('CreateContainerError', `pod ${spec.podName} has no running sandbox`);
    const needsUser = spec.security.runAsGroup !== undefined && spec.security.runAsUser === undefined;
    const imageUser = needsUser ? (await inspectImage(this.engine, spec.imageId))?.user : undefined;
    const body = containerBody(this.options.clusterId, spec, join, this.oomScoreFloor, imageUser);
    try {
      const adapted = await this.dialect.adapt(this.engine, body, join);
      return await this.#createOnce(containerName(this.options.clusterId, spec), adapted, spec.podUid);
    } catch (error) {
      throw new ContainerError('CreateContainerError', `Error response from daemon: ${engineMessage(error)}`);
    }
  }

  /** After a restart of this process the engine's list tells which sandbox is the pod's. */
  async #joinOf(podUid: string): Promise<SandboxJoin | undefined> {
    const known = this.#joins.get(podUid);
    if (known) return known;
    const row = (await this.#view.list(podUid)).find(
      (each) => each.Labels[labels.type] === 'sandbox' && each.State === 'running',
    );
    if (!row) return undefined;
    const join = joinOf(row.Id, row.Labels);
    this.#joins.set(podUid, join);
    return join;
  }

  async start(containerId: string) {
    try {
      await this.#startNow(containerId);
    } catch (error) {
      if (this.dialect.forgetsFailedStarts) this.#failedStarts.note(containerId, engineMessage(error));
      throw new ContainerError('RunContainerError', engineMessage(error));
    } finally {
      this.#memory.drop(containerId);
    }
  }

  async stop(containerId: string, graceMs: number) {
    const ask = (verb: string, query = {}) => this.engine.call('POST', `/containers/${containerId}/${verb}`, { query });
    try {
      if (graceMs > 0) return await ignoring([404], ask('stop', { t: Math.ceil(graceMs / 1000) }));
      await ignoring([404], ask('kill')).catch((error) => {
        if (!this.dialect.isImproperState(error)) throw error;
      });
      await ignoring([404], ask('wait'));
    } finally {
      this.#memory.drop(containerId);
    }
  }

  async remove(containerId: string) {
    await ignoring([404, 409], this.#delete(containerId)); // 409: removal is under way
    this.#memory.forget(containerId);
    this.#failedStarts.forget(containerId);
  }

  async observe(podUid?: string): Promise<Observation> {
    const present = (await this.#view.rows(podUid)).filter(({ row }) => !isEnded(row));
    const sandboxes = present.filter(({ row }) => isSandbox(row));
    const states = sandboxes.map(({ row, details }) => {
      const state = sandboxState(row, details);
      if (state.ready) this.#joins.set(state.podUid, joinOf(row.Id, row.Labels));
      else if (this.#joins.get(state.podUid)?.id === row.Id) this.#joins.delete(state.podUid);
      return state;
    });
    const containers = present.filter(({ row }) => !isSandbox(row));
    return { sandboxes: states, containers: containers.map(({ row, details }) => containerState(row, details)) };
  }

  changes(signal: AbortSignal): AsyncIterable<{ podUid: string }> {
    return this.#view.changes(signal);
  }

  logs(containerId: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    return dockerLogs(this.engine, containerId, options, signal);
  }

  exec(
    containerId: string,
    options: { command: readonly string[]; tty: boolean; stdin: boolean; signal?: AbortSignal },
  ): Promise<Session> {
    return execSession(this.engine, this.options.clock, containerId, options);
  }

  attach(containerId: string, options: { tty: boolean; stdin: boolean; signal?: AbortSignal }): Promise<Session> {
    return attachSession(this.engine, this.options.clock, containerId, { ...options, held: this.#held });
  }

  async dial(podUid: string, port: number, signal?: AbortSignal): Promise<Session> {
    const sandbox = (await this.observe(podUid)).sandboxes.find((each) => each.ready);
    if (!sandbox) throw new Error(`pod ${podUid} has no running sandbox`);
    return dialThroughChild(
      { ...(sandbox.netnsPath ? { netns: sandbox.netnsPath } : {}), hosts: ['127.0.0.1', '::1'], port },
      signal,
    );
  }

  async stats(): Promise<ContainerStats[]> {
    const rows = (await this.#view.list()).filter(
      (row) => row.State === 'running' && row.Labels[labels.type] === 'container',
    );
    const found: ContainerStats[] = [];
    await eachAtMost(inspectionsAtOnceMax, rows, async (row) => {
      const sample = await dockerStats(this.engine, row, () => this.options.clock.now());
      if (sample) found.push(sample);
    });
    return found;
  }

  async [Symbol.asyncDispose]() {
    this.#memory.blind();
  }
}

interface ListedImage {
  readonly Id: string;
  readonly RepoTags: readonly string[] | null;
  readonly RepoDigests: readonly string[] | null;
  readonly Size: number;
}
const isSandbox = (row: ListedContainer): boolean => row.Labels[labels.type] === 'sandbox';
const isEnded = (row: ListedContainer): boolean => isSandbox(row) && isEndedName(row.Names);

async function ignoring(codes: readonly number[], work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isStatus(error, ...codes)) throw error;
  }
}
