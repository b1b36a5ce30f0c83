import {
  endpointSliceKind,
  type Family,
  familyOf,
  type Informer,
  type KubeObject,
  messageOf,
  type NodePart,
  type NodePartContext,
  namespaceKind,
  networkPolicyKind,
  type PacketFilter,
  type Pod,
  type PodGate,
  podKind,
  serviceKind,
} from '#sdk';
import { dnsFacts, dnsPlace } from './cluster-dns.ts';
import { podFactsOf } from './facts.ts';
import { PolicyState } from './state.ts';

const retryMs = { first: 100, most: 10_000 };
const lookAgainMs = 30_000; // somebody may have flushed the host's rules
const announcedMax = 4_096; // of pods that came and were never seen in the API

/** Enforces the policies on one host: pods of this host are guarded here, whoever speaks with them. */
export default {
  start(context: NodePartContext) {
    const { filter } = context.network;
    if (!filter) {
      context.log.info('network policies are not enforced: pods have no network of their own here');
      context.scope.use(context.pods.gate(async () => {}));
      return;
    }
    const node = new PolicyNode(context, filter);
    context.scope.use(context.pods.gate(node.gate));
    const done = node.run().catch((error: unknown) => {
      if (!context.scope.signal.aborted) context.log.error('network policies ended', { error: messageOf(error) });
    });
    context.scope.defer(() => done);
  },
} satisfies NodePart;

class PolicyNode {
  readonly #state: PolicyState;
  readonly #pods: Informer<Pod & KubeObject>;
  /** By `namespace/name`: addresses of pods whose status does not show them yet. */
  readonly #announced = new Map<string, { uid: string; ips: readonly string[] }>();
  readonly #uids = new Map<string, string>();
  /** Keys of what stands for the cluster's DNS. */
  #dns = new Set<string>();
  #wake = () => {};
  #isChanged = false;
  readonly #started: Promise<void>;
  #isStarted = () => {};

  constructor(
    private readonly context: NodePartContext,
    private readonly filter: PacketFilter,
  ) {
    const families = new Set<Family>([4, ...context.network.podRanges.map(familyOf)]);
    this.#state = new PolicyState({ families: [...families] });
    this.#pods = context.informers.informer(podKind) as Informer<Pod & KubeObject>;
    this.#started = new Promise((resolve) => (this.#isStarted = resolve));
  }

  async run(): Promise<void> {
    const { signal } = this.context.scope;
    using handlers = new DisposableStack();
    await this.#follow(handlers);
    if (signal.aborted) return;
    while (!signal.aborted) {
      await this.#apply();
      this.#isStarted();
      await this.#sleep();
      if (!signal.aborted && !this.#isChanged) {
        await this.filter.check();
        await this.#sayWeakness();
      }
    }
  }

  /** Resolves when all of the cluster is known. */
  async #follow(handlers: DisposableStack): Promise<void> {
    const { informers, scope } = this.context;
    const namespaces = informers.informer(namespaceKind);
    const policies = informers.informer(networkPolicyKind);
    const services = informers.informer(serviceKind);
    const slices = informers.informer(endpointSliceKind);
    const state = this.#state;
    handlers.use(
      namespaces.onChange(({ type, object: { metadata } }) => {
        state.setNamespace(metadata.name ?? '', type === 'deleted' ? undefined : (metadata.labels ?? {}));
        this.#changed();
      }),
    );
    handlers.use(
      policies.onChange(({ type, object: { metadata, spec } }) => {
        const { namespace = '', name = '' } = metadata;
        state.setPolicy(`${namespace}/${name}`, namespace, type === 'deleted' ? undefined : (spec ?? {}));
        this.#changed();
      }),
    );
    handlers.use(this.#pods.onChange(({ type, object }) => this.#onPod(object, type === 'deleted')));
    const renewDns = () => {
      const service = services.cache.get(dnsPlace);
      const own = slices.cache
        .list(dnsPlace.namespace)
        .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === dnsPlace.name);
      const facts = new Map(dnsFacts(service, own).map((each) => [each.key, each]));
      for (const key of this.#dns) if (!facts.has(key)) state.setPod(key, undefined);
      for (const [key, each] of facts) state.setPod(key, each);
      this.#dns = new Set(facts.keys());
      this.#changed();
    };
    const isDns = ({ metadata }: KubeObject) => metadata.namespace === dnsPlace.namespace;
    handlers.use(services.onChange(({ object }) => isDns(object) && renewDns()));
    handlers.use(slices.onChange(({ object }) => isDns(object) && renewDns()));
    const all = [namespaces, policies, services, slices, this.#pods].map(({ synced }) => synced);
    const aborted = new Promise<void>((resolve) =>
      scope.signal.addEventListener('abort', () => resolve(), { once: true }),
    );
    await Promise.race([Promise.all(all), aborted]);
  }

  #onPod(pod: Readonly<Pod & KubeObject>, isGone: boolean): void {
    const { namespace = '', name = '', uid = '' } = pod.metadata;
    const key = `${namespace}/${name}`;
    if (isGone) {
      if (this.#uids.get(key) !== uid) return; // the next one of this name is here already
      this.#uids.delete(key);
      if (this.#announced.get(key)?.uid === uid) this.#announced.delete(key);
      this.#state.setPod(key, undefined);
    } else {
      const isNew = this.#uids.get(key) !== uid;
      this.#uids.set(key, uid);
      const announced = this.#announced.get(key);
      const ips = announced?.uid === uid ? announced.ips : undefined;
      this.#state.setPod(key, podFactsOf(pod, this.context.nodeName, ips), isNew);
    }
    this.#changed();
  }

  /** A pod of this host has its addresses: its rules are in force before it may start. */
  readonly gate: PodGate = async ({ uid, namespace, name, ips }, signal) => {
    const key = `${namespace}/${name}`;
    this.#announced.set(key, { uid, ips });
    for (const former of this.#announced.keys()) {
      if (this.#announced.size <= announcedMax) break;
      this.#announced.delete(former);
    }
    await this.#started;
    const pod = await this.#podOf(namespace, name, uid, signal);
    if (!pod) return; // it is gone: what has no pod passes nothing
    this.#state.setPod(key, podFactsOf(pod, this.context.nodeName, ips));
    await this.filter.apply(this.#state);
  };

  /** As the API shows it; undefined when the wait ended before. */
  async #podOf(namespace: string, name: string, uid: string, signal: AbortSignal) {
    const find = () => {
      const pod = this.#pods.cache.get({ namespace, name });
      return pod?.metadata.uid === uid ? pod : undefined;
    };
    if (find() || signal.aborted) return find();
    return new Promise<Readonly<Pod & KubeObject> | undefined>((resolve) => {
      const end = () => {
        handler[Symbol.dispose]();
        resolve(find());
      };
      const handler = this.#pods.onChange(({ object }) => {
        if (object.metadata.uid === uid) queueMicrotask(end);
      });
      signal.addEventListener('abort', end, { once: true });
    });
  }

  #changed(): void {
    this.#isChanged = true;
    this.#wake();
  }
  async #sleep(): Promise<void> {
    const { clock, scope } = this.context;
    if (!this.#isChanged) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await clock.sleep(lookAgainMs, AbortSignal.any([scope.signal, woken.signal]));
      this.#wake = () => {};
    }
    await clock.soon(); // changes that arrived together are applied together
  }

  /** Until it is in force. The former rules stay meanwhile. */
  async #apply(): Promise<void> {
    const { clock, log, scope } = this.context;
    for (let delayMs = retryMs.first; !scope.signal.aborted; delayMs = Math.min(delayMs * 2, retryMs.most)) {
      this.#isChanged = false;
      try {
        await this.filter.apply(this.#state);
        if (this.#weakness === undefined) await this.#sayWeakness();
        return;
      } catch (error) {
        log.error('network policies could not be applied; trying again', { error: messageOf(error), delayMs });
        await clock.sleep(delayMs, scope.signal);
      }
    }
  }
  /** Whoever sets the kernel's switches back may do so at any time. Told when it changes. */
  async #sayWeakness(): Promise<void> {
    const weakness = (await this.filter.weakness()) ?? '';
    if (weakness && weakness !== this.#weakness)
      this.context.log.error('network policies are not enforced completely', { weakness });
    this.#weakness = weakness;
  }
  #weakness: string | undefined;
}
