// Whole: one machine in memory whose verbs share all of its state.
import type { Clock } from '#base';
import { randomUuid } from '#base';
import {
  ContainerError,
  type ContainerSpec,
  type ContainerState,
  ImageError,
  type ImageInfo,
  type LogLine,
  type Observation,
  type SandboxSpec,
  type SandboxState,
  type Session,
} from '#sdk';
import { bytePipe } from './byte-pipe.ts';
import { ChangeFeed } from './change-feed.ts';
import {
  type FakeRuntime,
  type FakeRuntimeOptions,
  type FakeScript,
  scriptedSteps,
  scriptSteps,
} from './fake-script.ts';
import { type FakeStep, parseFakeCommand } from './fake-shell.ts';

export type { FakeRuntime, FakeRuntimeOptions, FakeScript } from './fake-script.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
interface FakeContainer {
  readonly spec: ContainerSpec;
  readonly state: Mutable<ContainerState>;
  readonly lines: LogLine[];
  readonly follow: Set<() => void>;
  readonly stop: AbortController;
  ended: Promise<void>;
  script: FakeScript;
}
const encoder = new TextEncoder();

/** Containers without processes: for tests, the simulator and large fake clusters. Deterministic for a given clock and random. */
export function createFakeRuntime(options: FakeRuntimeOptions): FakeRuntime {
  return new Fake(options);
}

class Fake implements FakeRuntime {
  readonly name = 'fake';
  readonly calls: Record<string, number> = {};
  readonly #options: FakeRuntimeOptions;
  readonly #clock: Clock;
  readonly #images = new Map<string, ImageInfo>();
  readonly #sandboxes = new Map<string, Mutable<SandboxState>>();
  readonly #containers = new Map<string, FakeContainer>();
  readonly #usedIps = new Set<number>();
  readonly #feed = new ChangeFeed();
  #away = false;

  constructor(options: FakeRuntimeOptions) {
    this.#options = options;
    this.#clock = options.clock;
  }

  #enter(verb: string): void {
    this.calls[verb] = (this.calls[verb] ?? 0) + 1;
    if (this.#away) throw new Error('Cannot connect to the container engine: the fake runtime is away');
  }

  async version() {
    this.#enter('version');
    return '1.0.0';
  }

  async ensureImage(image: string, policy: 'Always' | 'IfNotPresent' | 'Never', signal: AbortSignal) {
    this.#enter('ensureImage');
    if (!/^[a-z0-9][\w.\-/:@]*$/i.test(image))
      throw new ImageError(
        'InvalidImageName',
        `Failed to apply default image tag "${image}": invalid reference format`,
      );
    const present = this.#images.get(image);
    if (present && policy !== 'Always') return present;
    if (policy === 'Never')
      throw new ImageError('ErrImageNeverPull', `Container image "${image}" is not present with pull policy of Never`);
    if (this.#options.pullMs) await this.#clock.sleep(this.#options.pullMs, signal);
    const refusal = this.#options.pull?.(image);
    if (refusal !== undefined) throw new ImageError('ErrImagePull', refusal);
    const info = { id: `sha256:fake-${image}`, names: [image], sizeBytes: 1_000_000 };
    this.#images.set(image, info);
    return info;
  }

  async images() {
    this.#enter('images');
    return [...this.#images.values()];
  }

  async removeImage(id: string) {
    this.#enter('removeImage');
    for (const [name, info] of this.#images) if (info.id === id) this.#images.delete(name);
  }

  async ensureSandbox(spec: SandboxSpec) {
    this.#enter('ensureSandbox');
    const present = this.#sandboxes.get(spec.podUid);
    if (present?.ready && present.attempt === spec.attempt) return { ...present };
    if (this.#options.startMs) await this.#clock.sleep(this.#options.startMs);
    const ip = spec.network === 'pod' ? this.#takeIp() : undefined;
    const sandbox: SandboxState = {
      id: randomUuid(this.#options.random),
      podUid: spec.podUid,
      podName: spec.podName,
      podNamespace: spec.podNamespace,
      attempt: spec.attempt,
      ready: true,
      createdAtMs: this.#clock.now(),
      ...(ip && { ips: [ip] }),
    };
    this.#sandboxes.set(spec.podUid, { ...sandbox });
    this.#feed.publish(spec.podUid);
    return sandbox;
  }

  #takeIp(): string | undefined {
    if (!this.#options.ipPrefix) return undefined;
    for (let host = 1; host < 255; host++)
      if (!this.#usedIps.has(host)) {
        this.#usedIps.add(host);
        return `${this.#options.ipPrefix}.${host}`;
      }
    throw new ContainerError('CreatePodSandboxError', `no address left in ${this.#options.ipPrefix}.0/24`);
  }

  async removeSandbox(podUid: string) {
    this.#enter('removeSandbox');
    for (const container of [...this.#containers.values()].filter((each) => each.spec.podUid === podUid)) {
      await this.#end(container, 0);
      this.#containers.delete(container.state.id);
    }
    this.#dropSandbox(podUid);
  }

  async endSandbox(podUid: string) {
    this.#enter('endSandbox');
    this.#dropSandbox(podUid);
  }

  #dropSandbox(podUid: string): void {
    const sandbox = this.#sandboxes.get(podUid);
    for (const ip of sandbox?.ips ?? []) this.#usedIps.delete(Number(ip.split('.')[3]));
    if (this.#sandboxes.delete(podUid)) this.#feed.publish(podUid);
  }

  async create(spec: ContainerSpec) {
    this.#enter('create');
    if (!this.#sandboxes.get(spec.podUid)?.ready)
      throw new ContainerError('CreateContainerError', `pod ${spec.podName} has no sandbox`);
    for (const { state } of this.#containers.values())
      if (state.podUid === spec.podUid && state.name === spec.name && state.attempt === spec.attempt) return state.id;
    const state: ContainerState = {
      id: randomUuid(this.#options.random).replaceAll('-', ''),
      podUid: spec.podUid,
      podName: spec.podName,
      podNamespace: spec.podNamespace,
      name: spec.name,
      attempt: spec.attempt,
      state: 'created',
      image: spec.image,
      imageId: spec.imageId,
      specHash: spec.specHash,
      annotations: spec.annotations ?? {},
      createdAtMs: this.#clock.now(),
    };
    this.#containers.set(state.id, {
      spec,
      state: { ...state },
      lines: [],
      follow: new Set(),
      stop: new AbortController(),
      ended: Promise.resolve(),
      script: {},
    });
    return state.id;
  }

  async start(containerId: string) {
    this.#enter('start');
    const container = this.#containers.get(containerId);
    if (!container) throw new ContainerError('RunContainerError', `No such container: ${containerId}`);
    if (container.state.state !== 'created') return;
    const argv = [...(container.spec.command ?? []), ...(container.spec.args ?? [])];
    const script = this.#options.script?.(container.spec);
    const steps = script ? scriptSteps(script) : parseFakeCommand(argv);
    container.script = script ?? {};
    if (this.#options.startMs) await this.#clock.sleep(this.#options.startMs);
    if (!steps || script?.startError !== undefined) {
      const error = script?.startError ?? `exec: "${argv[0]}": executable file not found in $PATH`;
      Object.assign(container.state, { state: 'exited', exitCode: 128, error, finishedAtMs: this.#clock.now() });
      this.#feed.publish(container.spec.podUid);
      throw new ContainerError('RunContainerError', error);
    }
    Object.assign(container.state, { state: 'running', startedAtMs: this.#clock.now() });
    this.#feed.publish(container.spec.podUid);
    container.ended = this.#run(container, steps);
  }

  async #run(container: FakeContainer, steps: readonly FakeStep[]): Promise<void> {
    const signal = container.stop.signal;
    let code = 0;
    for (const step of steps) {
      if (signal.aborted) break;
      if (step.type === 'print') this.#printLine(container, step.text, step.stream);
      else if (step.type === 'exit') {
        code = step.code;
        break;
      } else if (step.type === 'cat' || step.ms === Number.POSITIVE_INFINITY) await aborted(signal);
      else await this.#clock.sleep(step.ms, signal);
    }
    if (container.state.state !== 'running') return;
    this.#finish(container, signal.aborted ? (typeof signal.reason === 'number' ? signal.reason : 143) : code);
  }

  #finish(container: FakeContainer, code: number, oomKilled = false): void {
    Object.assign(container.state, { state: 'exited', exitCode: code, oomKilled, finishedAtMs: this.#clock.now() });
    for (const wake of container.follow) wake();
    this.#feed.publish(container.spec.podUid);
  }

  async #end(container: FakeContainer, graceMs: number): Promise<void> {
    if (container.state.state !== 'running') return;
    const ignores = container.script.ignoresStop === true;
    const waitMs = ignores ? graceMs : Math.min(graceMs, this.#options.stopMs ?? 0);
    if (waitMs > 0) await this.#clock.sleep(waitMs, container.stop.signal);
    if (container.state.state === 'running')
      container.stop.abort(ignores || (graceMs === 0 && this.#options.stopMs) ? 137 : 143);
    await container.ended;
  }

  async stop(containerId: string, graceMs: number) {
    this.#enter('stop');
    const container = this.#containers.get(containerId);
    if (container) await this.#end(container, graceMs);
  }

  async remove(containerId: string) {
    this.#enter('remove');
    const container = this.#containers.get(containerId);
    if (!container) return;
    await this.#end(container, 0);
    this.#containers.delete(containerId);
    this.#feed.publish(container.spec.podUid);
  }

  async observe(podUid?: string): Promise<Observation> {
    this.#enter('observe');
    const wanted = (each: { podUid: string }) => podUid === undefined || each.podUid === podUid;
    return {
      sandboxes: [...this.#sandboxes.values()].filter(wanted).map((each) => ({ ...each })),
      containers: [...this.#containers.values()].map((each) => ({ ...each.state })).filter(wanted),
    };
  }

  changes(signal: AbortSignal) {
    return this.#feed.subscribe(signal);
  }

  async *logs(
    containerId: string,
    options: { follow?: boolean; tailLines?: number; sinceMs?: number },
    signal: AbortSignal,
  ): AsyncIterable<LogLine> {
    this.#enter('logs');
    const container = this.#containers.get(containerId);
    if (!container) throw new Error(`No such container: ${containerId}`);
    let next = options.tailLines === undefined ? 0 : Math.max(0, container.lines.length - options.tailLines);
    while (!signal.aborted) {
      while (next < container.lines.length) {
        const line = container.lines[next++]!;
        if (options.sinceMs === undefined || line.timeMs >= options.sinceMs) yield line;
      }
      if (!options.follow || container.state.state === 'exited' || signal.aborted) return;
      await new Promise<void>((resolve) => {
        const wake = () => {
          container.follow.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        container.follow.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
  }

  get answers(): FakeRuntime['answers'] {
    if (!this.#options.answersProbes) return undefined;
    return (containerId) => this.#containers.get(containerId)?.state.state === 'running';
  }
  async exec(containerId: string, options: { command: readonly string[]; tty: boolean; stdin: boolean }) {
    this.#enter('exec');
    const container = this.#containers.get(containerId);
    if (container?.state.state !== 'running') throw new Error(`container ${containerId} is not running`);
    const scripted = this.#options.exec?.(options.command, container.state);
    if (scripted) return this.#session(scriptedSteps(scripted), options);
    const steps = parseFakeCommand(options.command);
    if (!steps)
      return this.#session(
        [
          {
            type: 'print',
            stream: 'stderr',
            text: `exec: "${options.command[0]}": executable file not found in $PATH`,
          },
          { type: 'exit', code: 127 },
        ],
        options,
      );
    return this.#session(steps, options);
  }

  #session(steps: readonly FakeStep[], options: { tty: boolean; stdin: boolean }): Session {
    const end = new AbortController();
    const stdinEnded = Promise.withResolvers<void>();
    const stdout = bytePipe(() => end.abort());
    const stderr = options.tty ? undefined : bytePipe();
    end.signal.addEventListener('abort', () => stdinEnded.resolve(), { once: true });
    const run = async (): Promise<{ code: number }> => {
      let code = 0;
      for (const step of steps) {
        if (end.signal.aborted) break;
        if (step.type === 'print')
          (step.stream === 'stderr' ? (stderr ?? stdout) : stdout).push(encoder.encode(step.text));
        else if (step.type === 'exit') {
          code = step.code;
          break;
        } else if (step.type === 'cat') await stdinEnded.promise;
        else if (step.ms === Number.POSITIVE_INFINITY) await aborted(end.signal);
        else await this.#clock.sleep(step.ms, end.signal);
      }
      stdout.end();
      stderr?.end();
      return { code: end.signal.aborted ? 137 : code };
    };
    return {
      ...(options.stdin && {
        stdin: { write: (bytes: Uint8Array) => stdout.push(bytes), end: () => stdinEnded.resolve() },
      }),
      stdout: stdout.stream,
      ...(stderr && { stderr: stderr.stream }),
      resize: async () => {},
      done: run(),
      close: () => end.abort(),
    };
  }

  async attach(containerId: string, options: { tty: boolean; stdin: boolean }) {
    this.#enter('attach');
    const container = this.#containers.get(containerId);
    if (container?.state.state !== 'running') throw new Error(`container ${containerId} is not running`);
    const session = this.#session([{ type: 'sleep', ms: Number.POSITIVE_INFINITY }], options);
    void container.ended.then(() => session.close());
    return { ...session, done: session.done.then(() => ({ code: 0 })) };
  }

  /** Echoes what it is sent. */
  async dial(podUid: string) {
    this.#enter('dial');
    if (!this.#sandboxes.get(podUid)?.ready) throw new Error(`pod ${podUid} has no sandbox`);
    return this.#session([{ type: 'cat' }], { tty: true, stdin: true });
  }

  async stats() {
    this.#enter('stats');
    return [...this.#containers.values()]
      .filter((each) => each.state.state === 'running')
      .map(({ state }) => ({
        podUid: state.podUid,
        container: state.name,
        timeMs: this.#clock.now(),
        cpuUsageNs: (this.#clock.now() - (state.startedAtMs ?? 0)) * 10_000, // one percent of a core
        memoryWorkingSetBytes: 16 * 1024 * 1024,
      }));
  }

  #find(podUid: string, name: string): FakeContainer {
    const found = [...this.#containers.values()]
      .filter((each) => each.spec.podUid === podUid && each.spec.name === name)
      .sort((left, right) => right.state.attempt - left.state.attempt)[0];
    if (!found) throw new Error(`no container ${name} in pod ${podUid}`);
    return found;
  }

  exit(podUid: string, name: string, code: number, options: { oomKilled?: boolean } = {}) {
    const container = this.#find(podUid, name);
    if (container.state.state !== 'running') return;
    this.#finish(container, code, options.oomKilled ?? false);
    container.stop.abort(code);
  }

  crashSandbox(podUid: string) {
    for (const { spec, state } of this.#containers.values())
      if (spec.podUid === podUid && state.state === 'running') this.exit(podUid, spec.name, 137);
    const sandbox = this.#sandboxes.get(podUid);
    if (sandbox) sandbox.ready = false;
    this.#feed.publish(podUid);
  }

  goAway() {
    this.#away = true;
    return () => {
      this.#away = false;
    };
  }

  print(podUid: string, name: string, text: string, stream: 'stdout' | 'stderr' = 'stdout') {
    this.#printLine(this.#find(podUid, name), text, stream);
  }

  #printLine(container: FakeContainer, text: string, stream: 'stdout' | 'stderr'): void {
    const timeMs = this.#clock.now();
    const time = new Date(timeMs).toISOString().replace('Z', '000000Z');
    container.lines.push({ stream, timeMs, time, bytes: encoder.encode(text.endsWith('\n') ? text : `${text}\n`) });
    if (container.lines.length > logLinesMax) container.lines.splice(0, container.lines.length - logLinesMax);
    for (const wake of container.follow) wake();
  }

  async [Symbol.asyncDispose]() {
    for (const container of this.#containers.values()) if (container.state.state === 'running') container.stop.abort();
  }
}

const logLinesMax = 10_000;

const aborted = (signal: AbortSignal): Promise<void> =>
  signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
