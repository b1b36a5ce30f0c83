import {
  type Channel,
  type ChannelOptions,
  type Clock,
  channelOfFd,
  type Log,
  type listenOnce,
  messageOf,
  setNiceness,
} from '#base';
import type { LateReconciles } from '#sdk';
import type { Bundle } from './bundle.ts';
import { afterEnd, afterSilence, freshLife, type Life } from './health.ts';
import type { Launched } from './launch.ts';
import { protocolVersion } from './manifest.ts';
import type { MetricValues } from './plugin-metrics.ts';
import {
  beatEveryMs,
  callsOnChannelMax,
  type FromPlugin,
  hooksProtocol,
  lateOf,
  linesOf,
  type ToPlugin,
  tailOf,
} from './protocol.ts';
import { undeclared } from './provides.ts';
import type { Turns } from './turns.ts';

export interface InstanceState {
  readonly phase: 'Starting' | 'Active' | 'Unresponsive' | 'Backoff' | 'Quarantined' | 'Stopped';
  readonly message: string;
  readonly restarts: number;
  /** How often it was killed for its silence. */
  readonly hangs: number;
  readonly sandbox: readonly string[];
  readonly memoryBytes?: number;
  readonly metrics: MetricValues;
  /** Reconciles that did not return in time: of all its lives, and the objects that wait for one now. */
  readonly late?: LateReconciles;
}
export interface InstanceOptions {
  readonly bundle: Bundle;
  readonly config: Readonly<Record<string, unknown>>;
  readonly launch: (signal: AbortSignal) => Promise<Launched>;
  readonly clock: Clock;
  readonly log: Log;
  readonly onChange: (state: InstanceState) => void;
  /** Told to the plugin. */
  readonly nodeName?: string;
  /** Of starts after a crash, of all plugins of this host: twenty that crash together must not take the machine. */
  readonly turns?: Turns;
  /** Starts without acting, until `activate`. */
  readonly standby?: boolean;
}
type LifeEnd = { readonly wasReady: boolean; readonly why: string; readonly violated?: boolean };
type FromChild = FromPlugin | { readonly type: 'sandbox'; readonly facts: readonly string[] };
/** setup() may take 10 s; the rest is the start of the process on a busy host. */
const readyMsMax = 15_000;
const drainMsMax = 10_000;
const logLinesPerSecondMax = 100;
const helloMsMax = 5_000;
/** Of a process that starts, and of one that starts again: what is there already is not to feel it. More, and a busy machine would never see it ready. */
const nicenessAtStart = { first: 5, again: 10 };
const turnMsMax = 2_000;
/** Ready for so long, one that crashed counts as all others again. */
const steadyMs = 5_000;

/** Keeps one version of one plugin running: starts it, hears its heartbeat, starts it again, gives up. */
export class PluginInstance implements AsyncDisposable {
  state: InstanceState = { phase: 'Starting', message: '', restarts: 0, hangs: 0, sandbox: [], metrics: {} };
  /** To the process that is ready now; undefined when it registered no hooks. */
  channel: Channel | undefined;
  readonly #stop = new AbortController();
  #life: Life = freshLife;
  #running: Promise<void> | undefined;
  #standby: boolean;
  #now: OneLife | undefined;
  #giveBack: (() => void) | undefined;
  readonly #settled = Promise.withResolvers<void>();

  constructor(readonly options: InstanceOptions) {
    this.#standby = options.standby ?? false;
  }
  get standby(): boolean {
    return this.#standby;
  }
  /** From now on it acts, in later lives too. */
  activate(): void {
    if (!this.#standby) return;
    this.#standby = false;
    this.#now?.activate();
  }

  get isResponsive(): boolean {
    return this.state.phase === 'Active';
  }
  /** Resolves when it is ready for the first time, or has no chance left. */
  start(): Promise<void> {
    this.#running ??= this.#keep();
    return this.#settled.promise;
  }
  /** Asks it to end, waits 10 s, ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#change({ phase: 'Stopped' });
  }

  async #keep(): Promise<void> {
    const { clock, log } = this.options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const end = await this.#live().catch((error: unknown): LifeEnd => ({ wasReady: false, why: messageOf(error) }));
      if (signal.aborted) break;
      const verdict = afterEnd(this.#life, { nowMs: clock.now(), ...end });
      this.#life = verdict.life;
      log.warn('plugin ended', { why: end.why, next: verdict.type });
      if (verdict.type === 'quarantine') {
        this.#change({ phase: 'Quarantined', message: `${verdict.reason}; the last: ${end.why}` });
        break;
      }
      this.#change({ phase: 'Backoff', message: end.why, restarts: this.state.restarts + 1 });
      await clock.sleep(verdict.afterMs, signal);
    }
    this.#settled.resolve();
  }

  /** One life of its process. */
  async #live(): Promise<LifeEnd> {
    const isAgain = this.state.restarts > 0;
    this.#giveBack = isAgain ? await this.options.turns?.take(this.#stop.signal) : undefined;
    try {
      return await this.#liveOn(isAgain);
    } finally {
      this.#giveBack?.();
    }
  }
  async #liveOn(isAgain: boolean): Promise<LifeEnd> {
    const launched = await this.options.launch(this.#stop.signal);
    const { child } = launched;
    const { clock } = this.options;
    if (isAgain) setNiceness(child.pid, nicenessAtStart.again);
    else if (launched.announces) setNiceness(child.pid, nicenessAtStart.first); // for a source an author waits
    this.#change({ phase: 'Starting', sandbox: launched.facts });
    const over = new AbortController();
    const one = new OneLife(this, launched, over.signal);
    void clock.sleep(turnMsMax, over.signal).then(() => this.#giveBack?.()); // one that hangs must not hold up the others
    this.#now = one;
    const errors = tailOf(child.stderr);
    const stopping = () => void one.stop();
    this.#stop.signal.addEventListener('abort', stopping, { once: true });
    if (this.#stop.signal.aborted) stopping();
    try {
      await one.openChannel();
      void one.watchSilence();
      await one.listen().catch((error: unknown) => one.end(messageOf(error)));
      const code = await child.exited;
      const said = (await errors).trim().split('\n').at(-1);
      return {
        wasReady: one.isReady,
        violated: one.violated,
        why: one.why ?? (said ? `ended with code ${code}: ${said}` : `ended with code ${code}`),
      };
    } finally {
      over.abort();
      await one.closeChannel();
      this.channel = undefined;
      this.#stop.signal.removeEventListener('abort', stopping);
      await launched.clear();
    }
  }

  ready(): void {
    this.#giveBack?.();
    this.#change({ phase: 'Active', message: '' });
    this.#settled.resolve();
  }
  update(change: Partial<InstanceState>): void {
    this.#change(change);
  }
  #change(change: Partial<InstanceState>): void {
    const before = this.state;
    this.state = { ...before, ...change };
    if (
      before.phase !== this.state.phase ||
      before.restarts !== this.state.restarts ||
      before.sandbox !== this.state.sandbox ||
      String(before.late?.objects ?? '') !== String(this.state.late?.objects ?? '')
    )
      this.options.onChange(this.state);
  }
}

/** What is said in one life. */
class OneLife {
  isReady = false;
  violated = false;
  why: string | undefined;
  channel: Channel | undefined;
  #door: Awaited<ReturnType<typeof listenOnce>> | undefined;
  #heardMs: number;
  #ended = false;
  #hasSpoken = false;
  #logSecond = 0;
  #logLines = 0;
  #memoryMs = 0;
  #steadyAtMs: number | undefined;
  #toldStandby = false;
  readonly #lateBefore: number;

  constructor(
    private readonly owner: PluginInstance,
    private readonly launched: Launched,
    private readonly over: AbortSignal,
  ) {
    this.#heardMs = owner.options.clock.monotonicMs();
    this.#lateBefore = owner.state.late?.total ?? 0;
  }

  /** Its end of the socket pair, or the socket that it dials: what it sends beyond the rules ends it. */
  async openChannel(): Promise<void> {
    const { child, hooks } = this.launched;
    const options: ChannelOptions = {
      clock: this.owner.options.clock,
      callsMax: callsOnChannelMax,
      answer: () => {
        throw new Error('a plugin asks the API, not its host');
      },
    };
    if (hooks) {
      this.#door = await hooks.listen(options);
      void this.#door.first.then((channel) => this.#keepChannel(channel));
    } else if (child.channelFd !== undefined) this.#keepChannel(await channelOfFd(child.channelFd, options));
  }
  #keepChannel(channel: Channel): void {
    this.channel = channel;
    void channel.closed.then((why) => {
      if (!this.over.aborted && why.startsWith('it sent')) this.end(`in a hook: ${why}`);
    });
  }
  async closeChannel(): Promise<void> {
    this.channel?.[Symbol.dispose]();
    await this.#door?.[Symbol.asyncDispose]();
  }
  /** A process that has not been greeted yet will hear it with its start. */
  activate(): void {
    if (this.#toldStandby) this.#send({ type: 'activate' });
  }
  end(why: string, violated = false): void {
    this.#ended = true;
    this.violated ||= violated;
    this.why ??= why;
    this.launched.child.kill('SIGKILL');
  }
  async stop(): Promise<void> {
    const { clock } = this.owner.options;
    this.#send({ type: 'stop' });
    try {
      this.launched.child.stdin.end();
    } catch {} // it has gone already
    await Promise.race([this.launched.child.exited, clock.sleep(drainMsMax, this.over)]);
    this.launched.child.kill('SIGKILL');
  }
  async watchSilence(): Promise<void> {
    const { clock } = this.owner.options;
    const beganMs = clock.monotonicMs();
    while (!this.over.aborted) {
      await clock.sleep(beatEveryMs, this.over);
      const nowMs = clock.monotonicMs();
      if (!this.isReady) {
        if (nowMs - beganMs > readyMsMax) this.end(`it was not ready within ${readyMsMax / 1000} s`);
        continue;
      }
      const silence = afterSilence(nowMs - this.#heardMs);
      if (silence === 'dead') {
        this.owner.update({ hangs: this.owner.state.hangs + 1 });
        this.end('no heartbeat for 15 s');
      } else if (silence === 'unresponsive')
        this.owner.update({ phase: 'Unresponsive', message: 'no heartbeat for 5 s' });
      else if (this.owner.state.phase === 'Unresponsive') this.owner.ready();
    }
  }

  async listen(): Promise<void> {
    for await (const line of linesOf(this.launched.child.stdout)) {
      if (this.#ended) return; // what it said before the signal reached it counts no more
      await this.#hear(JSON.parse(line) as FromChild);
    }
  }
  async #hear(message: FromChild): Promise<void> {
    const { clock, bundle, log } = this.owner.options;
    this.#heardMs = clock.monotonicMs();
    const isFirst = !this.#hasSpoken;
    this.#hasSpoken = true;
    switch (message.type) {
      case 'sandbox':
        if (!isFirst || !this.launched.announces) return this.end('it said what only its launcher says', true);
        return this.owner.update({ sandbox: [...message.facts, ...this.launched.facts] });
      case 'hello':
        return this.#greet(message);
      case 'ready': {
        const more = undeclared(bundle.manifest.provides, message.provides);
        if (more.length > 0) return this.end(`it registered what its manifest does not declare: ${more.join(', ')}`);
        return this.#greetHooks();
      }
      case 'print':
      case 'done':
        return; // of commands, which no instance runs
      case 'failed':
        this.why ??= String(message.message).slice(0, 1_000);
        return;
      case 'beat':
        return this.#beat(message.metrics, message.late);
      case 'log':
        if (this.#mayLog())
          log[message.level === 'error' || message.level === 'warn' ? message.level : 'info'](
            String(message.message).slice(0, 4_096),
            message.fields,
          );
    }
  }
  #greet({ protocol, name, version }: Extract<FromChild, { type: 'hello' }>): void {
    const { manifest } = this.owner.options.bundle;
    if (protocol !== protocolVersion) return this.end(`it speaks protocol ${protocol}, this host ${protocolVersion}`);
    if (name !== manifest.name || version !== manifest.version)
      return this.end(`it says it is ${name} ${version}, its manifest ${manifest.name} ${manifest.version}`);
    const { apiSocket, hooks, child } = this.launched;
    const { config, nodeName } = this.owner.options;
    this.#toldStandby = this.owner.standby;
    this.#send({
      type: 'start',
      protocol: protocolVersion,
      apiSocket,
      config,
      standby: this.#toldStandby,
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(hooks || child.channelFd !== undefined ? { hooks: hooksProtocol } : {}),
      ...(hooks ? { hooksSocket: hooks.socket } : {}),
    });
  }
  /** Ready is who also answers its hooks. Not awaited: its lines are heard meanwhile. */
  #greetHooks(): void {
    const isReady = (): void => {
      this.isReady = true;
      if (this.owner.state.restarts > 0) this.#steadyAtMs = this.owner.options.clock.monotonicMs() + steadyMs;
      else if (this.launched.announces) setNiceness(this.launched.child.pid, 0);
      this.owner.channel = this.channel;
      this.owner.ready();
    };
    if (!this.channel && !this.#door) return isReady();
    void this.#dialled()
      .then((channel) => channel.call('hello', { protocol: hooksProtocol }, helloMsMax))
      .then(
        (answer) => {
          const { protocol } = (answer ?? {}) as { protocol?: number };
          if (protocol === hooksProtocol) isReady();
          else this.end(`its hooks speak protocol ${protocol}, this host ${hooksProtocol}`);
        },
        (error: unknown) => this.end(`it does not answer for its hooks: ${messageOf(error)}`),
      );
  }
  /** It says that it is ready, so it has dialled. */
  async #dialled(): Promise<Channel> {
    if (this.channel) return this.channel;
    const { clock } = this.owner.options;
    const late = clock.sleep(helloMsMax, this.over).then(() => undefined);
    const channel = await Promise.race([this.#door?.first, late]);
    if (!channel) throw new Error('it did not dial the socket of its hooks');
    return channel;
  }
  async #beat(metrics: MetricValues, said: unknown): Promise<void> {
    const nowMs = this.owner.options.clock.monotonicMs();
    if (this.#steadyAtMs !== undefined && nowMs > this.#steadyAtMs) {
      this.#steadyAtMs = undefined;
      setNiceness(this.launched.child.pid, 0);
    }
    if (nowMs - this.#memoryMs > 10 * beatEveryMs) {
      this.#memoryMs = nowMs;
      this.owner.update({ memoryBytes: await this.launched.memoryBytes() });
    }
    const late = lateOf(said);
    const told = typeof metrics === 'object' && metrics !== null ? metrics : {}; // its word is not believed
    this.owner.update({ metrics: told, late: { total: this.#lateBefore + late.total, objects: late.objects } });
  }
  /** A flood of lines must not become a flood of our own log. */
  #mayLog(): boolean {
    const second = Math.floor(this.owner.options.clock.monotonicMs() / 1_000);
    if (second !== this.#logSecond) [this.#logSecond, this.#logLines] = [second, 0];
    return ++this.#logLines <= logLinesPerSecondMax;
  }
  #send(message: ToPlugin): void {
    try {
      void Promise.resolve(this.launched.child.stdin.write(Buffer.from(`${JSON.stringify(message)}\n`))).catch(
        () => {},
      );
    } catch {} // it has gone: listen() ends
  }
}
