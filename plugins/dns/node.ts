import {
  type ConfigMap,
  configMapKind,
  type Informer,
  type KubeObject,
  type Log,
  messageOf,
  type NodePart,
  type NodePartContext,
  nodeKind,
} from '#sdk';
import { runCoreDns } from './coredns.ts';
import { DnsMetrics } from './dns-metrics.ts';
import { Forwarder } from './forwarder.ts';
import { parseNameservers } from './node-servers.ts';
import { clusterDomain, dnsName, dnsNamespace, endpointAnnotation, preferredPort, sixAnnotation } from './places.ts';
import { codes, parseQuery } from './query.ts';
import { replyCode } from './reply.ts';
import { Responder } from './responder.ts';
import { SecondListener } from './second-listener.ts';
import { readSettings, type Settings } from './settings.ts';
import { listenDns, type Place, type Respond } from './sockets.ts';
import { createSources } from './sources.ts';
import { askUpstream } from './upstream.ts';
import { liveView } from './view.ts';

const ttlSeconds = 5;
const askTimeoutMs = 2_000;
const lookAgainMs = 30_000; // at the node's own servers, and at what was announced
const secondAgainMs = 1_000;
const bindRetryMs = { first: 100, most: 5_000 };
const formerPortAttempts = 20;
const floodToldEveryMs = 60_000;

/** The DNS server of one node: it begins to listen when it knows the cluster, and says on its Node where. */
export default {
  start(context: NodePartContext) {
    const done = new DnsNode(context).run().catch((error: unknown) => {
      if (!context.scope.signal.aborted) context.log.error('the DNS server ended', { error: messageOf(error) });
    });
    context.scope.defer(() => done);
  },
} satisfies NodePart;

class DnsNode {
  readonly #log: Log;
  readonly #settings: Informer<ConfigMap & KubeObject>;
  #current: Settings;
  #version = 0;
  #isChanged = false;
  #wake = () => {};

  constructor(private readonly context: NodePartContext) {
    this.#log = context.log;
    this.#current = readSettings({}, clusterDomain).settings;
    this.#settings = context.informers.informer(configMapKind, {
      namespace: dnsNamespace,
      fieldSelector: `metadata.name=${dnsName}`,
    }) as Informer<ConfigMap & KubeObject>;
  }

  async run(): Promise<void> {
    const { informers, clock, scope, page } = this.context;
    const { signal } = scope;
    const view = liveView(informers, clock);
    using _handlers = view;
    using _settings = this.#settings.onChange(() => {
      this.#isChanged = true;
      this.#wake();
    });
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([Promise.all([view.synced, this.#settings.synced]), aborted]);
    const cacheSecondsMax = () => this.#current.cacheSecondsMax;
    const ask = askUpstream(clock, askTimeoutMs);
    const metrics = new DnsMetrics(page, clusterDomain);
    const forwarder = new Forwarder({ ask, clock, log: this.#log, signal, cacheSecondsMax, metrics });
    metrics.entries(() => forwarder.size);
    const responder = new Responder({
      view,
      zone: () => ({ domain: clusterDomain, ttlSeconds, serial: view.serial }),
      version: () => view.version * 2 ** 20 + this.#version,
      settings: () => this.#current,
      forwarder,
      clock,
      metrics,
    });
    const respond = this.#guarded(responder, metrics);
    await using second = new SecondListener(this.context.network, respond, this.#log);
    let former = '';
    let running: (AsyncDisposable & { readonly place: Place }) | undefined;
    while (!signal.aborted) {
      this.#isChanged = false; // before the look: a change while it is served or announced is looked at next
      const { settings, text } = await this.#read();
      if (text !== former || !running) {
        former = text;
        const isEmbedded = this.#current.driver === 'embedded' && settings.driver === 'embedded';
        this.#current = settings;
        this.#version++;
        forwarder.forget();
        if (!running || !isEmbedded) {
          await running?.[Symbol.asyncDispose]();
          running = await this.#serve(respond, running?.place);
        }
      }
      if (running) {
        const six = await second.ensure(running.place);
        await this.#limit([running.place, ...(six ? [six] : [])]);
        await this.#announce(running.place, six);
      }
      await this.#sleep(signal, second.isDue ? secondAgainMs : lookAgainMs);
    }
    await running?.[Symbol.asyncDispose]();
  }

  /** Strangers are refused, and who floods is answered up to a limit: beyond it its questions cost no more than their arrival. */
  #guarded(responder: Responder, metrics: DnsMetrics): Respond {
    const { network, clock } = this.context;
    const sourceOf = createSources(network.podRanges, clock, network.ownAddresses);
    let toldMs = Number.NEGATIVE_INFINITY;
    return (packet, { address, stream }) => {
      const source = sourceOf(address);
      if (source?.admits()) return responder.respond(packet, { stream, address, turn: source });
      metrics.dropped(source ? 'rate' : 'stranger');
      if (!source) return refusal(packet);
      if (clock.monotonicMs() - toldMs < floodToldEveryMs) return undefined;
      toldMs = clock.monotonicMs();
      this.#log.warn('more questions than are taken of one pod come from an address; the rest is dropped', { address });
      return undefined;
    };
  }

  /** The queue of a socket is everybody's: what one pod sends above its share does not come into it. */
  async #limit(places: readonly Place[]): Promise<void> {
    try {
      await this.context.network.podLimit?.hold(places.map(({ hostname, port }) => ({ ip: hostname, port })));
    } catch (error) {
      this.#complain(`a pod that floods may cost others their questions: ${messageOf(error)}`);
    }
  }

  /** Until the settings change, or for a while. */
  async #sleep(signal: AbortSignal, ms: number): Promise<void> {
    if (this.#isChanged) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await this.context.clock.sleep(ms, AbortSignal.any([signal, woken.signal]));
    this.#wake = () => {};
  }

  /** What is wanted now. Without servers of its own the cluster asks those of the node. */
  async #read(): Promise<{ settings: Settings; text: string }> {
    const data = this.#settings.cache.get({ namespace: dnsNamespace, name: dnsName })?.data ?? {};
    const nodeFile = await this.context.machine.files.readFile('/etc/resolv.conf', 'utf8').catch(() => '');
    const text = JSON.stringify([data, nodeFile]);
    const { settings, problems } = readSettings(data, clusterDomain);
    for (const problem of problems)
      this.#complain(`the ConfigMap ${dnsNamespace}/${dnsName} has a mistake; that entry is left out: ${problem}`);
    const own = this.context.network.ip;
    const upstreams = settings.upstreams.length > 0 ? settings.upstreams : parseNameservers(nodeFile, own);
    return { settings: { ...settings, upstreams }, text };
  }
  readonly #complained = new Set<string>();
  #complain(problem: string): void {
    if (this.#complained.has(problem)) return;
    if (this.#complained.size > 100) this.#complained.clear();
    this.#complained.add(problem);
    this.#log.warn(problem);
  }

  async #serve(respond: Respond, former?: Place): Promise<(AsyncDisposable & { readonly place: Place }) | undefined> {
    const { folder, machine } = this.context;
    const embedded = await this.#listen(respond, former);
    if (!embedded) return undefined;
    const settings = this.#current;
    const program = settings.driver === 'coredns' ? machine.findProgram('coredns') : undefined;
    if (settings.driver === 'coredns' && !program)
      this.#log.error('driver: coredns, and no program of that name is on this machine; the embedded server goes on');
    else if (!program && (settings.zoneFiles.size > 0 || settings.templates.length > 0))
      this.#log.warn('zoneFiles and templates are served by the coredns driver only');
    if (!program) return embedded;
    await embedded[Symbol.asyncDispose](); // it has found the free port
    const listen = { ip: embedded.place.hostname, port: embedded.place.port };
    const options = { settings, listen, ttlSeconds, program, folder: `${folder}/coredns` };
    const coredns = await runCoreDns(options, this.context);
    return { place: embedded.place, [Symbol.asyncDispose]: () => coredns[Symbol.asyncDispose]() };
  }

  /** The address may come later than we do: the first pod makes the bridge. Undefined: this node is ending. */
  async #listen(respond: Respond, former?: Place): Promise<(AsyncDisposable & { readonly place: Place }) | undefined> {
    const { network, clock, scope } = this.context;
    const { signal } = scope;
    let attempts = 0;
    for (let delayMs = bindRetryMs.first; !signal.aborted; delayMs = Math.min(delayMs * 2, bindRetryMs.most)) {
      // Pods know the former port, and who had it may take a moment to let it go.
      const isPatient = former !== undefined && ++attempts <= formerPortAttempts;
      for (const port of isPatient ? [former.port] : [former?.port ?? preferredPort, 0]) {
        try {
          const server = await listenDns({ hostname: network.ip, port }, respond, this.#log);
          const place = { hostname: network.ip, port: server.port };
          this.#log.info('the DNS server listens', { ...place });
          return { place, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
        } catch (error) {
          this.#log.debug('the DNS server cannot listen yet', { port, error: messageOf(error) });
        }
      }
      await clock.sleep(isPatient ? bindRetryMs.first : delayMs, signal);
    }
    return undefined;
  }

  /** On our own Node; the part in the controllers makes endpoints of it. Tried again with the next look. */
  async #announce({ hostname, port }: Place, six: Place | undefined): Promise<void> {
    const { client, nodeName, clock, scope } = this.context;
    const endpoint = `${hostname}:${port}`;
    const annotations = {
      [endpointAnnotation]: endpoint,
      ...(six && { [sixAnnotation]: `[${six.hostname}]:${six.port}` }),
    };
    const body = { metadata: { annotations } };
    for (let delayMs = 100; !scope.signal.aborted; delayMs = Math.min(delayMs * 2, 5_000)) {
      try {
        const node = await client.get(nodeKind, { name: nodeName });
        const isSaid = Object.entries(annotations).every(([name, text]) => node.metadata.annotations?.[name] === text);
        if (!isSaid) await client.patch(nodeKind, { name: nodeName }, { type: 'merge', body });
        return;
      } catch (error) {
        this.#log.debug('the DNS server could not be announced yet', { error: messageOf(error) });
        await clock.sleep(delayMs, scope.signal);
      }
    }
  }
}

/** To strangers: as small as what they sent. */
function refusal(packet: Uint8Array): Uint8Array | undefined {
  const query = parseQuery(packet);
  return 'key' in query ? replyCode(query, codes.refused) : undefined;
}
