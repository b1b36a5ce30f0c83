import type { Duplex, Readable } from 'node:stream';
import type Docker from 'dockerode';
import { type Clock, type Log, messageOf, ownArch } from '#base';
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
import { dialThroughChild } from './dial.ts';
import { engineMessage, ensureDockerImage, ensurePauseImage, inspectImage, isStatus } from './docker-images.ts';
import { dockerLogs } from './docker-logs.ts';
import { duplexSession } from './docker-sessions.ts';
import {
  containerBody,
  containerName,
  joinOf,
  labels,
  type SandboxJoin,
  sandboxBody,
  sandboxName,
} from './docker-specs.ts';
import { containerState, type InspectedContainer, type ListedContainer, sandboxState } from './docker-states.ts';
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
const changeActions = ['create', 'start', 'die', 'oom', 'destroy', 'died', 'remove']; // Podman filters by the last two and tells the first `die`
const inspectionsAtOnceMax = 16;

/** Containers by any engine that serves Docker's API. The client library is loaded here, not at the program's start. */
export async function createDockerRuntime(options: DockerRuntimeOptions): Promise<ContainerRuntime> {
  const { default: Client } = await import('dockerode');
  const docker = new Client({ socketPath: options.socketPath });
  const { Components = [] } = (await docker.version()) as { Components?: { Name: string }[] };
  const isPodman = Components.some(({ Name }) => /podman/i.test(Name));
  return new DockerRuntime(docker, options, options.oomScoreFloor ?? probeOomScoreFloor(), isPodman);
}

class DockerRuntime implements ContainerRuntime {
  readonly name = 'docker';
  readonly #joins = new Map<string, SandboxJoin>();
  readonly #inspected = new Map<string, { state: string; details: InspectedContainer }>();
  readonly #feed = new ChangeFeed();
  #pause: Promise<string> | undefined;

  constructor(
    readonly docker: Docker,
    readonly options: DockerRuntimeOptions,
    readonly oomScoreFloor: number,
    readonly isPodman: boolean,
  ) {}

  async version() {
    return (await this.docker.version()).Version;
  }

  ensureImage(image: string, policy: 'Always' | 'IfNotPresent' | 'Never', signal: AbortSignal) {
    return ensureDockerImage(this.docker, image, policy, signal);
  }

  async images() {
    return (await this.docker.listImages()).map((image) => ({
      id: image.Id,
      names: (image.RepoTags ?? []).filter((name) => name !== '<none>:<none>'),
      digests: (image.RepoDigests ?? []).filter((name) => !name.startsWith('<none>')),
      sizeBytes: image.Size,
    }));
  }

  async removeImage(id: string) {
    await ignoring([404], this.docker.getImage(id).remove());
  }

  async ensureSandbox(spec: SandboxSpec): Promise<SandboxState> {
    const name = sandboxName(this.options.clusterId, spec);
    this.#pause ??= ensurePauseImage(this.docker, ownArch());
    const image = await this.#pause.catch((error) => {
      this.#pause = undefined;
      throw new ContainerError('CreatePodSandboxError', `cannot make the pause image: ${engineMessage(error)}`);
    });
    const body = sandboxBody(this.options.clusterId, spec, image, this.oomScoreFloor);
    try {
      if (spec.attempt > 0) await this.#removeFormerSandboxes(spec);
      const id = await this.#createOnce(name, body);
      await ignoring([304], this.docker.getContainer(id).start());
      const details = (await this.docker.getContainer(id).inspect()) as InspectedContainer;
      if (details.State.Status !== 'running')
        throw new Error(details.State.Error || 'the pause container ended at once');
      this.#inspected.set(id, { state: 'running', details });
      this.#joins.set(spec.podUid, joinOf(id, body.Labels));
      return sandboxState(
        { Id: id, ImageID: image, Image: image, Created: 0, State: 'running', Labels: body.Labels },
        details,
      );
    } catch (error) {
      if (isStatus(error, 404)) this.#pause = undefined; // somebody removed the pause image
      throw new ContainerError('CreatePodSandboxError', engineMessage(error));
    }
  }

  /** What still runs in them cannot reach the pod's new network any more; their containers' logs stay. */
  async #removeFormerSandboxes(spec: SandboxSpec): Promise<void> {
    for (const row of await this.#list(spec.podUid))
      if (isSandbox(row) && Number(row.Labels[labels.attempt]) < spec.attempt) await this.remove(row.Id);
  }

  /** The name makes it idempotent: what has it already is taken, or replaced when it is a dead sandbox. */
  async #createOnce(name: string, body: object): Promise<string> {
    try {
      return (await this.docker.createContainer({ name, ...body })).id;
    } catch (error) {
      if (!isStatus(error, 409) && !engineMessage(error).includes('is already in use')) throw error; // 500 by Podman
      const present = await this.docker.getContainer(name).inspect();
      const isSandbox = present.Config.Labels[labels.type] === 'sandbox';
      if (!isSandbox || present.State.Status === 'running' || present.State.Status === 'created') return present.Id;
      await ignoring([404, 409], this.docker.getContainer(present.Id).remove({ force: true, v: true }));
      return (await this.docker.createContainer({ name, ...body })).id;
    }
  }

  async endSandbox(podUid: string) {
    const sandboxes = (await this.#list(podUid)).filter(isSandbox);
    // Podman keeps a container that others were joined to: it is stopped, and goes with them.
    const end = (id: string) => (this.isPodman ? this.stop(id, 0) : this.remove(id));
    await Promise.all(sandboxes.map((row) => end(row.Id)));
    this.#joins.delete(podUid);
  }

  async removeSandbox(podUid: string) {
    const rows = await this.#list(podUid);
    await Promise.all(rows.filter((row) => !isSandbox(row)).map((row) => this.remove(row.Id)));
    await Promise.all(rows.filter(isSandbox).map((row) => this.remove(row.Id)));
    this.#joins.delete(podUid);
  }

  async create(spec: ContainerSpec): Promise<string> {
    const join = await this.#joinOf(spec.podUid);
    if (!join) throw new ContainerError('CreateContainerError', `pod ${spec.podName} has no running sandbox`);
    const needsUser = spec.security.runAsGroup !== undefined && spec.security.runAsUser === undefined;
    const imageUser = needsUser ? (await inspectImage(this.docker, spec.imageId))?.user : undefined;
    const body = containerBody(this.options.clusterId, spec, join, this.oomScoreFloor, imageUser);
    try {
      // With Docker the pause container's name comes with its network, and asking for one is an error.
      const named = this.isPodman && join.network === 'pod' ? { Hostname: await this.#hostnameOf(join) } : {};
      return await this.#createOnce(containerName(this.options.clusterId, spec), { ...body, ...named });
    } catch (error) {
      throw new ContainerError('CreateContainerError', `Error response from daemon: ${engineMessage(error)}`);
    }
  }

  async #hostnameOf(join: SandboxJoin): Promise<string> {
    return (await this.docker.getContainer(join.id).inspect()).Config.Hostname;
  }

  /** After a restart of this process the engine's list tells which sandbox is the pod's. */
  async #joinOf(podUid: string): Promise<SandboxJoin | undefined> {
    const known = this.#joins.get(podUid);
    if (known) return known;
    const row = (await this.#list(podUid)).find(
      (each) => each.Labels[labels.type] === 'sandbox' && each.State === 'running',
    );
    if (!row) return undefined;
    const join = joinOf(row.Id, row.Labels);
    this.#joins.set(podUid, join);
    return join;
  }

  async start(containerId: string) {
    this.#inspected.delete(containerId);
    try {
      await ignoring([304], this.docker.getContainer(containerId).start());
    } catch (error) {
      throw new ContainerError('RunContainerError', engineMessage(error));
    } finally {
      this.#inspected.delete(containerId);
    }
  }

  async stop(containerId: string, graceMs: number) {
    const container = this.docker.getContainer(containerId);
    if (graceMs <= 0) await ignoring([304, 404, 409], container.kill());
    else await ignoring([304, 404], container.stop({ t: Math.ceil(graceMs / 1000) }));
    if (graceMs <= 0) await ignoring([404], container.wait());
  }

  async remove(containerId: string) {
    this.#inspected.delete(containerId);
    await ignoring([404, 409], this.docker.getContainer(containerId).remove({ force: true, v: true })); // 409: removal is under way
  }

  async #list(podUid?: string): Promise<ListedContainer[]> {
    const wanted = [`${labels.cluster}=${this.options.clusterId}`, ...(podUid ? [`${labels.podUid}=${podUid}`] : [])];
    return (await this.docker.listContainers({ all: true, filters: { label: wanted } })) as ListedContainer[];
  }

  async observe(podUid?: string): Promise<Observation> {
    const rows = await this.#list(podUid);
    await eachAtMost(inspectionsAtOnceMax, rows, (row) => this.#inspect(row));
    if (podUid === undefined) {
      const alive = new Set(rows.map((row) => row.Id));
      for (const id of this.#inspected.keys()) if (!alive.has(id)) this.#inspected.delete(id);
    }
    const details = (row: ListedContainer) => this.#inspected.get(row.Id)?.details;
    // Dead and removing containers are on their way out; one that the inspection did not find is gone.
    const present = rows.filter((row) => row.State !== 'removing' && details(row));
    const sandboxes = present.filter(isSandbox).map((row) => sandboxState(row, details(row)));
    for (const sandbox of sandboxes) {
      const row = present.find((each) => each.Id === sandbox.id)!;
      if (sandbox.ready) this.#joins.set(sandbox.podUid, joinOf(row.Id, row.Labels));
      else if (this.#joins.get(sandbox.podUid)?.id === row.Id) this.#joins.delete(sandbox.podUid);
    }
    return {
      sandboxes,
      containers: present.filter((row) => !isSandbox(row)).map((row) => containerState(row, details(row))),
    };
  }

  async #inspect(row: ListedContainer): Promise<void> {
    if (this.#inspected.get(row.Id)?.state === row.State) return;
    try {
      const details = (await this.docker.getContainer(row.Id).inspect()) as InspectedContainer;
      if (details.State.Status === row.State) this.#inspected.set(row.Id, { state: row.State, details });
      else this.#inspected.set(row.Id, { state: '', details }); // it moved on meanwhile: ask again next time
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      this.#inspected.delete(row.Id);
    }
  }

  changes(signal: AbortSignal): AsyncIterable<{ podUid: string }> {
    const lost = new AbortController();
    const hints = this.#feed.subscribe(AbortSignal.any([signal, lost.signal]));
    void this.#readEvents(signal).finally(() => lost.abort());
    return hints;
  }

  async #readEvents(signal: AbortSignal): Promise<void> {
    try {
      const events = (await this.docker.getEvents({
        filters: { type: ['container'], event: changeActions, label: [`${labels.cluster}=${this.options.clusterId}`] },
        abortSignal: signal,
      } as object)) as Readable;
      let rest = '';
      for await (const chunk of events) {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) this.#onEvent(line);
      }
    } catch (error) {
      if (!signal.aborted)
        this.options.log.warn('the container engine closed its event stream', { error: messageOf(error) });
    }
    this.#inspected.clear(); // whatever happened meanwhile went unseen
  }

  #onEvent(line: string): void {
    if (line.trim() === '') return;
    const event = JSON.parse(line) as { Actor?: { ID?: string; Attributes?: Record<string, string> } };
    if (event.Actor?.ID) this.#inspected.delete(event.Actor.ID);
    const podUid = event.Actor?.Attributes?.[labels.podUid];
    if (podUid) this.#feed.publish(podUid);
  }

  logs(containerId: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    return dockerLogs(this.docker, containerId, options, signal);
  }

  async exec(
    containerId: string,
    options: { command: readonly string[]; tty: boolean; stdin: boolean; signal?: AbortSignal },
  ): Promise<Session> {
    const exec = await this.docker.getContainer(containerId).exec({
      Cmd: [...options.command],
      AttachStdin: options.stdin,
      AttachStdout: true,
      AttachStderr: true,
      Tty: options.tty,
    });
    const duplex = await exec.start({ hijack: true, stdin: true, Tty: options.tty });
    return duplexSession(duplex, {
      ...options,
      ended: () => this.#exitCode(() => exec.inspect()),
      resize: (columns, rows, over) => this.#resize(() => exec.resize({ w: columns, h: rows }), over),
    });
  }

  /** The stream may close a moment before the engine has noted the end. */
  async #exitCode(inspect: () => Promise<{ Running: boolean; ExitCode: number | null }>): Promise<{ code: number }> {
    for (let tries = 0; tries < 50; tries++) {
      const state = await inspect();
      if (!state.Running) return { code: state.ExitCode ?? 0 };
      await this.options.clock.sleep(Math.min(200, 5 * 2 ** tries));
    }
    return { code: 137 }; // the caller went away while the program ran on
  }

  /** A terminal's size is often sent before the engine has started the program; after its end it does not matter. */
  async #resize(send: () => Promise<unknown>, over: () => boolean): Promise<void> {
    for (let tries = 0; tries < 10 && !over(); tries++) {
      try {
        await send();
        return;
      } catch (error) {
        if (!isStatus(error, 404, 409, 500)) throw error;
        await this.options.clock.sleep(20 * (tries + 1));
      }
    }
  }

  async attach(containerId: string, options: { tty: boolean; stdin: boolean; signal?: AbortSignal }) {
    const container = this.docker.getContainer(containerId);
    const duplex = (await container.attach({
      stream: true,
      hijack: true,
      stdin: options.stdin,
      stdout: true,
      stderr: true,
    })) as unknown as Duplex;
    return duplexSession(duplex, {
      ...options,
      ended: async () => ({ code: 0 }),
      resize: (columns, rows, over) => this.#resize(() => container.resize({ w: columns, h: rows }), over),
    });
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
    const rows = (await this.#list()).filter(
      (row) => row.State === 'running' && row.Labels[labels.type] === 'container',
    );
    const found: ContainerStats[] = [];
    await eachAtMost(inspectionsAtOnceMax, rows, async (row) => {
      try {
        const sample = await this.docker
          .getContainer(row.Id)
          .stats({ stream: false, 'one-shot': true } as { stream: false });
        const memory = sample.memory_stats;
        const idle = memory?.stats?.total_inactive_file ?? memory?.stats?.inactive_file ?? 0; // cgroup v1 and v2
        found.push({
          podUid: row.Labels[labels.podUid] ?? '',
          container: row.Labels[labels.container] ?? '',
          timeMs: this.options.clock.now(),
          cpuUsageNs: sample.cpu_stats.cpu_usage.total_usage,
          memoryWorkingSetBytes: Math.max(0, (memory?.usage ?? 0) - idle),
        });
      } catch (error) {
        if (!isStatus(error, 404, 409)) throw error; // ended meanwhile
      }
    });
    return found;
  }

  async [Symbol.asyncDispose]() {
    this.#inspected.clear();
  }
}

const isSandbox = (row: ListedContainer): boolean => row.Labels[labels.type] === 'sandbox';

async function ignoring(codes: readonly number[], work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isStatus(error, ...codes)) throw error;
  }
}

async function eachAtMost<T>(limit: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}
