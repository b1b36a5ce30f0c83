import {
  type api,
  bringSlices,
  type ConfigMap,
  configMapKind,
  type EndpointSlice,
  endpointSliceKind,
  type Informer,
  ingressClassKind,
  ingressKind,
  isReason,
  type KubeObject,
  messageOf,
  type Node,
  nodeKind,
  type ReconcileContext,
  type Service,
  secretKind,
  serviceKind,
} from '#sdk';
import { packCertificates, type SecretObject, secretOf } from './certificate-store.ts';
import { checkCertificate } from './check-certificate.ts';
import { addressPoolKind, certificateSecrets, endpointAnnotation, ingressName, ingressNamespace } from './places.ts';
import {
  type CheckedCertificate,
  type Finding,
  type IngressClassObject,
  type IngressObject,
  isOurs,
  type KnownCertificate,
  keyOfIngress,
  type Planned,
  planRouting,
} from './plan-routing.ts';
import { addressesOf, ingressService, isOwnSlice, planSlices } from './service.ts';
import { readSettings, type Settings } from './settings.ts';
import { statusOf } from './status.ts';

const gapMs = 50; // a burst of changes is one pass
const retryMs = 2_000;
const poolsEveryMs = 15_000; // while there is none: its kind need not be there, and so is not watched
const secretBytesMax = 1_000_000; // of base64, in one Secret of at most 1.5 MiB

/** Looks at everything after each change, until the signal aborts. */
export async function runPasses(context: ReconcileContext): Promise<void> {
  const { clock, signal, log } = context;
  using passes = new Passes(context);
  await Promise.race([passes.synced, aborted(signal)]);
  while (!signal.aborted) {
    passes.isChanged = false;
    let waitMs = Infinity;
    try {
      waitMs = (await passes.pass()) ? Infinity : poolsEveryMs;
    } catch (error) {
      if (signal.aborted) return;
      waitMs = retryMs;
      log.debug('a pass over the ingresses failed; it is made again', { error: messageOf(error) });
    }
    await clock.sleep(gapMs, signal);
    await passes.wait(waitMs);
  }
}
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

const placeOf = ({ metadata, status }: Readonly<Node & KubeObject>) => [
  metadata.annotations?.[endpointAnnotation],
  metadata.labels,
  status?.conditions?.find(({ type }) => type === 'Ready')?.status,
];
type Of<T> = Informer<T & KubeObject>;

class Passes implements Disposable {
  isChanged = false;
  readonly synced: Promise<void>;
  #wake = () => {};
  readonly #handlers: Disposable[];
  readonly #ingresses: Of<api.Ingress>;
  readonly #classes: Of<api.IngressClass>;
  readonly #services: Of<Service>;
  readonly #nodes: Of<Node>;
  readonly #slices: Of<EndpointSlice>;
  readonly #secrets: Of<api.Secret>;
  readonly #settings: Of<ConfigMap>;
  /** What was said last of each Ingress, so that it is not said again. */
  readonly #told = new Map<string, { readonly version: string; readonly texts: ReadonlySet<string> }>();
  readonly #checked = new Map<string, { readonly version: string; readonly known: KnownCertificate }>();

  constructor(private readonly context: ReconcileContext) {
    const { informers } = context;
    this.#ingresses = informers.informer(ingressKind) as Of<api.Ingress>;
    this.#classes = informers.informer(ingressClassKind) as Of<api.IngressClass>;
    this.#services = informers.informer(serviceKind) as Of<Service>;
    this.#nodes = informers.informer(nodeKind) as Of<Node>;
    this.#slices = informers.informer(endpointSliceKind) as Of<EndpointSlice>;
    this.#secrets = informers.informer(secretKind, { fieldSelector: 'type=kubernetes.io/tls' }) as Of<api.Secret>;
    const own = { namespace: ingressNamespace, fieldSelector: `metadata.name=${ingressName}` };
    this.#settings = informers.informer(configMapKind, own) as Of<ConfigMap>;
    const changed = () => {
      this.isChanged = true;
      this.#wake();
    };
    const always = [
      this.#ingresses,
      this.#classes,
      this.#services,
      this.#nodes,
      this.#secrets,
      this.#settings,
    ] as const;
    this.#handlers = [
      ...always.map((informer) => (informer as Informer<unknown>).onChange(changed)),
      this.#slices.onChange(({ object }) => isOwnSlice(object) && changed()),
      // A heartbeat is none of our business, and there are many.
      this.#nodes.onChange((change) => {
        const isSame = change.type === 'updated' && Bun.deepEquals(placeOf(change.previous), placeOf(change.object));
        if (!isSame) changed();
      }),
    ];
    this.synced = Promise.all([...always, this.#slices, this.#nodes].map((informer) => informer.synced)).then(() => {});
  }
  [Symbol.dispose](): void {
    for (const handler of this.#handlers) handler[Symbol.dispose]();
  }
  /** Until something changes, or for so long. */
  async wait(ms: number): Promise<void> {
    if (this.isChanged) return;
    const { clock, signal } = this.context;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const both = AbortSignal.any([signal, woken.signal]);
    await (ms === Infinity ? aborted(both) : clock.sleep(ms, both));
    this.#wake = () => {};
  }

  /** False: another look is due although nothing changes. */
  async pass(): Promise<boolean> {
    const service = this.#services.cache.get({ namespace: ingressNamespace, name: ingressName });
    if (!service) await this.context.client.create(serviceKind, ingressService() as never); // somebody deleted it
    const data = this.#settings.cache.get({ namespace: ingressNamespace, name: ingressName })?.data;
    const { settings } = readSettings(data);
    await this.#bringSlices(settings);
    const planned = this.#plan(settings);
    await this.#storeCertificates(planned);
    const addresses = addressesOf(service);
    const seen = new Set<string>();
    for (const ingress of this.#ingresses.cache.list() as IngressObject[]) {
      const key = keyOfIngress(ingress);
      const findings = planned.findings.get(key);
      if (!findings) continue;
      seen.add(key);
      this.#tell(ingress, findings);
      await this.#bringStatus(ingress, statusOf(addresses, findings));
    }
    for (const key of this.#told.keys()) if (!seen.has(key)) this.#told.delete(key);
    await this.#clearOthers();
    return this.#bringType(service, settings);
  }

  /** With a pool of addresses the Service gets one that others reach. Never the other way: people may have given it out. */
  async #bringType(service: Readonly<Service & KubeObject> | undefined, settings: Settings): Promise<boolean> {
    if (service?.spec?.type !== 'ClusterIP' || settings.loadBalancer === 'never') return service !== undefined;
    const { client } = this.context;
    try {
      if ((await client.list(addressPoolKind)).items.length === 0) return false;
    } catch (error) {
      if (isReason(error, 'NotFound')) return false; // the plugin that serves them is off
      throw error;
    }
    // Every host with a data plane answers for itself, and so sees who asks.
    await client.update(serviceKind, {
      ...service,
      spec: { ...service.spec, type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
    });
    return true;
  }
  #plan({ defaultBackend }: Settings): Planned {
    return planRouting({
      ingresses: this.#ingresses.cache.list() as IngressObject[],
      classes: this.#classes.cache.list() as IngressClassObject[],
      service: (namespace, name) => this.#services.cache.get({ namespace, name }),
      slices: () => [], // who is behind a Service is for the data planes
      certificate: (namespace, name) => this.#certificate(namespace, name),
      mayReach: () => true,
      ...(defaultBackend ? { defaultBackend } : {}),
    });
  }
  #certificate(namespace: string, name: string): KnownCertificate | undefined {
    const id = `${namespace}/${name}`;
    const secret = this.#secrets.cache.get({ namespace, name }) as SecretObject | undefined;
    if (secret?.type !== 'kubernetes.io/tls') {
      this.#checked.delete(id);
      return undefined;
    }
    const version = secret.metadata.resourceVersion ?? '';
    const former = this.#checked.get(id);
    if (former?.version === version) return former.known;
    const known = checkCertificate(secret.data, version);
    this.#checked.set(id, { version, known });
    return known;
  }

  async #storeCertificates({ secrets }: Planned): Promise<void> {
    for (const id of this.#checked.keys()) if (!secrets.has(id)) this.#checked.delete(id);
    for (const name of certificateSecrets) {
      const wanted = new Map<string, CheckedCertificate>();
      for (const id of secrets) {
        const known = secretOf(id) === name ? this.#checked.get(id)?.known : undefined;
        if (known && !('problem' in known)) wanted.set(id, known);
      }
      const { data, leftOut } = packCertificates(wanted, secretBytesMax);
      for (const id of leftOut) this.context.log.error('there is no room for another certificate', { id });
      await this.#bringSecret(name, data);
    }
  }
  readonly #stored = new Map<string, string>();
  async #bringSecret(name: string, data: Readonly<Record<string, string>>): Promise<void> {
    const text = JSON.stringify(data);
    if (this.#stored.get(name) === text) return;
    const { client } = this.context;
    const key = { namespace: ingressNamespace, name };
    try {
      const current = (await client.get(secretKind, key)) as SecretObject;
      if (!Bun.deepEquals(current.data ?? {}, data)) await client.update(secretKind, { ...current, data } as never);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      if (text !== '{}')
        await client.create(secretKind, {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: key,
          type: 'Opaque',
          data,
        } as never);
    }
    this.#stored.set(name, text);
  }

  /** What is new since the last pass, and once that all is well. */
  #tell(ingress: IngressObject, findings: readonly Finding[]): void {
    const { events } = this.context;
    const key = keyOfIngress(ingress);
    const version = `${ingress.metadata.uid} ${ingress.metadata.generation}`;
    const former = this.#told.get(key);
    const isSame = former?.version === version;
    const texts = new Set(findings.map(({ reason, message }) => `${reason} ${message}`));
    this.#told.set(key, { version, texts });
    const about = { ...ingress, apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' } as never;
    for (const { reason, message } of findings)
      if (!isSame || !former.texts.has(`${reason} ${message}`)) events.event(about, 'Warning', reason, message);
    if (findings.length === 0 && (!isSame || former.texts.size > 0))
      events.event(about, 'Normal', 'Sync', 'the routes of this Ingress are in force');
  }

  async #bringStatus(ingress: IngressObject, addresses: readonly object[]): Promise<void> {
    if (Bun.deepEquals(ingress.status?.loadBalancer?.ingress ?? [], [...addresses])) return;
    const status = { loadBalancer: addresses.length > 0 ? { ingress: [...addresses] } : {} };
    await this.context.client
      .update(ingressKind, { ...ingress, status } as never, { subresource: 'status' })
      .catch((error: unknown) => {
        if (!isReason(error, 'NotFound', 'Conflict')) throw error; // its change wakes the next pass
      });
  }
  /** An Ingress that was ours and has another class now: the address that we gave is not its any more. */
  async #clearOthers(): Promise<void> {
    const classes = this.#classes.cache.list() as IngressClassObject[];
    const ours = new Set(this.#former);
    this.#former.clear();
    for (const ingress of this.#ingresses.cache.list() as IngressObject[]) {
      const key = keyOfIngress(ingress);
      if (isOurs(ingress, classes)) this.#former.add(key);
      else if (ours.has(key)) await this.#bringStatus(ingress, []);
    }
  }
  readonly #former = new Set<string>();

  async #bringSlices(settings: Settings): Promise<void> {
    const current = this.#slices.cache.list(ingressNamespace).filter(isOwnSlice);
    await bringSlices(this.context.client, current, planSlices(this.#nodes.cache.list(), settings));
  }
}
