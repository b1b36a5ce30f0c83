import { isReason, type Log, messageOf, type NodePart, type NodePartContext, nodeKind, ownProgram } from '#sdk';
import { createBuiltinProcess } from './builtin/process.ts';
import type { IngressDriver } from './driver.ts';
import { LiveView } from './live-view.ts';
import type { Listener } from './model.ts';
import { driverAnnotation, endpointAnnotation, ingressName, ingressNamespace, preferredPorts } from './places.ts';
import { readPlace } from './service.ts';

const gapMs = 20; // a burst of changes is one routing
const bindRetryMs = 200;
const patientAttempts = 25; // who had the ports may take a moment to let them go
const lookAgainMs = 30_000;
const announcedMs = 25_000; // believed for so long: somebody may make the Node anew
const metricsEveryMs = 5_000;
const haproxyThreadsMax = 8;
const nobody = { uid: 65_534, gid: 65_534 };

/** The data plane of one node: it serves what the Ingresses say, and says on its Node where it listens. */
export default {
  start(context: NodePartContext) {
    const done = new IngressNode(context).run().catch((error: unknown) => {
      if (!context.scope.signal.aborted) context.log.error('the ingress ended', { error: messageOf(error) });
    });
    context.scope.defer(() => done);
  },
} satisfies NodePart;

class IngressNode {
  readonly #log: Log;
  readonly #view: LiveView;
  #isChanged = false;
  #wake = () => {};
  #driver: IngressDriver | undefined;
  #chosen = '';
  #announced = { text: '', untilMs: 0 };
  #ports: { http: number; https: number } = { ...preferredPorts };
  #attempts = 0;
  #applied = '';
  #metrics = '';

  constructor(private readonly context: NodePartContext) {
    this.#log = context.log;
    this.#view = new LiveView(context.informers, context.network.podRanges, () => {
      this.#isChanged = true;
      this.#wake();
    });
  }

  async run(): Promise<void> {
    const { clock, scope, page } = this.context;
    const { signal } = scope;
    using view = this.#view;
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([view.synced, aborted]);
    page.foreign(() => this.#metrics);
    await this.#rememberPorts();
    const figures = this.#readMetrics();
    while (!signal.aborted) {
      this.#isChanged = false; // before the look: a change during it is looked at next
      const waitMs = await this.#bring();
      await clock.sleep(gapMs, signal);
      await this.#sleep(waitMs);
    }
    await this.#driver?.[Symbol.asyncDispose]();
    await figures;
  }

  /** Brings what is wanted into force. Returns how long that may stay without another look. */
  async #bring(): Promise<number> {
    const { nodeName } = this.context;
    for (const problem of this.#view.settings().problems) this.#complain(problem);
    if (!this.#view.isWanted(nodeName)) {
      await this.#stop();
      await this.#announce(null);
      return lookAgainMs;
    }
    // Without a route there is nothing to listen for, and a process less to keep.
    if (!this.#driver && !this.#view.hasRoutes) return lookAgainMs;
    await this.#chooseDriver();
    const isServing = await this.#apply(this.#driver!);
    return isServing ? lookAgainMs : bindRetryMs;
  }
  async #apply(driver: IngressDriver): Promise<boolean> {
    const routing = this.#view.routing(this.#listeners());
    if (!routing) return false; // the API server's part makes the default certificate
    const text = JSON.stringify(routing);
    if (text !== this.#applied) {
      try {
        const { rejected } = await driver.apply(routing);
        const closed = rejected.filter(({ id }) => routing.listeners.some(({ name }) => name === id));
        for (const one of rejected) if (!closed.includes(one)) this.#log.warn('not served', { ...one });
        if (closed.length > 0) return this.#tryOtherPorts(closed[0]!.reason);
        this.#applied = text;
      } catch (error) {
        this.#log.warn('the routing could not be brought into force', { error: messageOf(error) });
        return false;
      }
    }
    const [http, https] = ['http', 'https'].map((name) => driver.listening.find((one) => one.name === name)?.port);
    if (!http || !https) return false;
    this.#attempts = 0;
    const isMoved = this.#ports.http !== http || this.#ports.https !== https;
    this.#ports = { http, https };
    if (isMoved) this.#applied = ''; // from now on these are asked for by number
    await this.#announce(`${this.context.network.ip}:${http}:${https}`);
    return !isMoved;
  }
  #listeners(): readonly Listener[] {
    const { ip } = this.context.network;
    return [
      { name: 'http', protocol: 'http', ip, port: this.#ports.http },
      { name: 'https', protocol: 'https', ip, port: this.#ports.https },
    ];
  }
  /** The address may come later than we do: the first pod makes the bridge. */
  #tryOtherPorts(reason: string): false {
    this.#attempts++;
    this.#log.debug('the ingress cannot listen yet', { reason, ...this.#ports });
    const isPatient = this.#attempts <= patientAttempts || this.#attempts % 2 === 0;
    this.#ports = isPatient ? { ...preferredPorts } : { http: 0, https: 0 };
    return false;
  }
  /** The driver that the settings want, where this host can have it. Another one takes over the ports of the former. */
  async #chooseDriver(): Promise<void> {
    const { driver } = this.#view.settings().settings;
    if (this.#driver && driver === this.#chosen) return;
    await this.#stop();
    this.#chosen = driver;
    this.#driver = driver === 'builtin' ? this.#builtin() : ((await this.#haproxy(driver)) ?? this.#builtin());
    this.#log.info('the data plane of the ingress', { driver: this.#driver.name });
  }
  async #stop(): Promise<void> {
    await this.#driver?.[Symbol.asyncDispose]();
    this.#driver = undefined;
    this.#applied = '';
  }
  #builtin(): IngressDriver {
    const { clock, log, machine, folder } = this.context;
    const words = ['ingress-data-plane', '--folder', folder];
    const spawn: typeof machine.spawn = (argv) => machine.spawn([...this.#withoutRights(), ...argv]);
    return createBuiltinProcess({ clock, log, spawn, program: ownProgram(), words });
  }
  /** What strangers speak to needs no capability: its ports are above 1023. */
  #withoutRights(): string[] {
    const setpriv = process.getuid?.() === 0 ? this.context.machine.findProgram('setpriv') : undefined;
    return setpriv ? [setpriv, '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all', '--'] : [];
  }
  async #haproxy(wanted: 'haproxy' | 'auto'): Promise<IngressDriver | undefined> {
    const { clock, log, machine, folder } = this.context;
    const { findHaproxy } = await import('./haproxy/program.ts'); // as long as nobody wants it, it takes no memory
    const found = await findHaproxy(machine);
    if ('reason' in found) {
      if (wanted === 'haproxy') this.#log.error('driver: haproxy; the built-in one goes on', { reason: found.reason });
      return undefined;
    }
    const threads = Math.max(1, Math.min(haproxyThreadsMax, navigator.hardwareConcurrency));
    const user = process.getuid?.() === 0 ? { user: nobody } : {};
    const { createHaproxyDriver } = await import('./haproxy/driver.ts');
    return createHaproxyDriver({ ...found, folder: `${folder}/haproxy`, machine, clock, log, threads, ...user });
  }

  /** Until something changes, or for a while. */
  async #sleep(ms: number): Promise<void> {
    if (this.#isChanged) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await this.context.clock.sleep(ms, AbortSignal.any([this.context.scope.signal, woken.signal]));
    this.#wake = () => {};
  }
  readonly #complained = new Set<string>();
  #complain(problem: string): void {
    if (this.#complained.has(problem)) return;
    if (this.#complained.size > 100) this.#complained.clear();
    this.#complained.add(problem);
    const map = `${ingressNamespace}/${ingressName}`;
    this.#log.warn(`the ConfigMap ${map} has a mistake; that entry is left out`, { problem });
  }
  /** Beside everything else: a new route waits for no figures. */
  async #readMetrics(): Promise<void> {
    const { clock, scope } = this.context;
    while (!scope.signal.aborted) {
      await clock.sleep(metricsEveryMs, scope.signal);
      await this.#takeMetrics();
    }
  }
  async #takeMetrics(): Promise<void> {
    const text = (await this.#driver?.metrics().catch(() => '')) ?? '';
    this.#metrics = text.replace(/^(# (HELP|TYPE) )?process_.*\n/gm, ''); // those of the node's own process are its page's
  }

  /** The ports that this node has announced: rules of other hosts lead there still. */
  async #rememberPorts(): Promise<void> {
    const { client, nodeName, network } = this.context;
    const node = await client.get(nodeKind, { name: nodeName }).catch(() => undefined);
    const place = readPlace(node?.metadata.annotations?.[endpointAnnotation]);
    if (place?.ip === network.ip) this.#ports = { http: place.http, https: place.https };
  }
  /** On our own Node; the part in the controllers makes endpoints of it. Null: nothing listens here. */
  async #announce(place: string | null): Promise<void> {
    const { client, nodeName, clock } = this.context;
    const text = `${place} ${this.#driver?.name}`;
    if (text === this.#announced.text && clock.monotonicMs() < this.#announced.untilMs) return;
    try {
      const node = await client.get(nodeKind, { name: nodeName });
      const wanted = { [endpointAnnotation]: place, [driverAnnotation]: place && (this.#driver?.name ?? null) };
      const { annotations = {} } = node.metadata;
      if (!Object.entries(wanted).every(([name, value]) => (annotations[name] ?? null) === value))
        await client.patch(
          nodeKind,
          { name: nodeName },
          { type: 'merge', body: { metadata: { annotations: wanted } } },
        );
      this.#announced = { text, untilMs: clock.monotonicMs() + announcedMs };
    } catch (error) {
      if (!isReason(error, 'NotFound'))
        this.#log.debug('the ingress could not be announced yet', { error: messageOf(error) });
      this.#isChanged = true; // again, soon
      await this.context.clock.sleep(bindRetryMs, this.context.scope.signal);
    }
  }
}
