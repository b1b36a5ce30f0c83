import {
  type api,
  type ConfigMap,
  cidrContains,
  configMapKind,
  endpointSliceKind,
  type Informer,
  type InformerFactory,
  ingressClassKind,
  ingressKind,
  type KubeObject,
  nodeKind,
  secretKind,
  serviceKind,
} from '#sdk';
import { readCertificates, type SecretObject } from './certificate-store.ts';
import { checkCertificate } from './check-certificate.ts';
import { isForbidden } from './endpoints.ts';
import type { Certificate, Listener, Routing } from './model.ts';
import { defaultLimits } from './model.ts';
import { certificateSecrets, defaultCertificateSecret, ingressName, ingressNamespace } from './places.ts';
import {
  type CheckedCertificate,
  type IngressClassObject,
  type IngressObject,
  isOurs,
  planRouting,
} from './plan-routing.ts';
import { readSettings, runsOn, type Settings } from './settings.ts';

const sliceIndex = 'ingress-service';
const serviceNameLabel = 'kubernetes.io/service-name';

/** What a host sees of the cluster, and the routing that this means. */
export class LiveView implements Disposable {
  readonly synced: Promise<void>;
  readonly #handlers: Disposable[];
  readonly #all: readonly Informer<unknown>[];
  readonly #ingresses;
  readonly #classes;
  readonly #services;
  readonly #slices;
  readonly #nodes;
  readonly #settings;
  readonly #copies: readonly Informer<api.Secret & KubeObject>[];
  readonly #standard: Informer<api.Secret & KubeObject>;
  /** Parsed once for each version of the Secrets. */
  #certificates = { text: '', found: new Map<string, CheckedCertificate>() };

  constructor(
    informers: InformerFactory,
    private readonly podRanges: readonly string[],
    onChange: () => void,
  ) {
    const named = (name: string) => ({ namespace: ingressNamespace, fieldSelector: `metadata.name=${name}` });
    const secret = (name: string) => informers.informer(secretKind, named(name)) as Informer<api.Secret & KubeObject>;
    this.#ingresses = informers.informer(ingressKind);
    this.#classes = informers.informer(ingressClassKind);
    this.#services = informers.informer(serviceKind);
    this.#slices = informers.informer(endpointSliceKind);
    this.#nodes = informers.informer(nodeKind);
    this.#settings = informers.informer(configMapKind, named(ingressName)) as Informer<ConfigMap & KubeObject>;
    this.#copies = certificateSecrets.map(secret);
    this.#standard = secret(defaultCertificateSecret);
    this.#slices.addIndex(sliceIndex, ({ metadata }) => {
      const name = metadata.labels?.[serviceNameLabel];
      return name === undefined ? [] : [`${metadata.namespace}/${name}`];
    });
    const own = [this.#ingresses, this.#classes, this.#services, this.#slices, this.#nodes, this.#settings];
    this.#all = [...own, ...this.#copies, this.#standard] as unknown as readonly Informer<unknown>[];
    const always = [this.#ingresses, this.#classes, this.#settings, ...this.#copies, this.#standard];
    this.#handlers = [
      ...(always as unknown as Informer<unknown>[]).map((informer) => informer.onChange(onChange)),
      // What no route leads to changes nothing; before the first routing nothing is known to lead anywhere.
      this.#services.onChange(
        ({ object: { metadata } }) => this.#leadsTo(metadata.namespace, metadata.name) && onChange(),
      ),
      this.#slices.onChange(
        ({ object: { metadata } }) =>
          this.#leadsTo(metadata.namespace, metadata.labels?.[serviceNameLabel]) && onChange(),
      ),
      this.#nodes.onChange((change) => {
        const former = change.type === 'updated' ? change.previous.metadata.labels : undefined;
        if (change.type !== 'updated' || !Bun.deepEquals(former, change.object.metadata.labels)) onChange();
      }),
    ];
    this.synced = Promise.all(this.#all.map((informer) => informer.synced)).then(() => {});
  }
  [Symbol.dispose](): void {
    for (const handler of this.#handlers) handler[Symbol.dispose]();
  }

  #used: ReadonlySet<string> = new Set();
  #leadsTo(namespace: string | undefined, name: string | undefined): boolean {
    return this.#used.has(`${namespace}/${name}`);
  }

  settings(): { readonly settings: Settings; readonly problems: readonly string[] } {
    return readSettings(this.#settings.cache.get({ namespace: ingressNamespace, name: ingressName })?.data);
  }
  /** Whether a data plane is to run on this node. */
  isWanted(nodeName: string): boolean {
    return runsOn(this.settings().settings, this.#nodes.cache.get({ name: nodeName })?.metadata.labels);
  }
  /** Something is to be answered at all. */
  get hasRoutes(): boolean {
    const classes = this.#classes.cache.list() as IngressClassObject[];
    const isServed = (ingress: unknown) => isOurs(ingress as IngressObject, classes);
    return this.settings().settings.defaultBackend !== undefined || this.#ingresses.cache.list().some(isServed);
  }
  /** Undefined without a default certificate: there is nothing to answer TLS with. */
  routing(listeners: readonly Listener[]): Routing | undefined {
    const defaultCertificate = this.#defaultCertificate();
    if (!defaultCertificate) return undefined;
    const { settings } = this.settings();
    const certificates = this.#known();
    const planned = planRouting({
      ingresses: this.#ingresses.cache.list() as IngressObject[],
      classes: this.#classes.cache.list() as IngressClassObject[],
      service: (namespace, name) => this.#services.cache.get({ namespace, name }),
      slices: (namespace, name) => this.#slices.cache.byIndex(sliceIndex, `${namespace}/${name}`),
      certificate: (namespace, name) => certificates.get(`${namespace}/${name}`),
      mayReach: (ip) => !isForbidden(ip) || this.podRanges.some((range) => cidrContains(range, ip)),
      ...(settings.defaultBackend ? { defaultBackend: settings.defaultBackend } : {}),
    });
    this.#used = planned.services;
    const { hosts, backends, fallback } = planned;
    const { trustedProxies, connectionsMax } = settings;
    return {
      listeners,
      hosts,
      backends,
      certificates: planned.certificates,
      defaultCertificate,
      ...(fallback ? { fallback } : {}),
      limits: { ...defaultLimits, trustedProxies, connectionsMax },
    };
  }
  #secret(informer: Informer<api.Secret & KubeObject>, name: string): SecretObject | undefined {
    return informer.cache.get({ namespace: ingressNamespace, name });
  }
  #defaultCertificate(): Certificate | undefined {
    const secret = this.#secret(this.#standard, defaultCertificateSecret);
    if (!secret) return undefined;
    const known = checkCertificate(secret.data, secret.metadata.resourceVersion ?? '');
    if ('problem' in known) return undefined;
    const { version, cert, key } = known;
    return { id: defaultCertificateSecret, version, names: [], cert, key };
  }
  #known(): ReadonlyMap<string, CheckedCertificate> {
    const secrets = this.#copies.map((informer, index) => this.#secret(informer, certificateSecrets[index]!));
    const text = secrets.map((secret) => secret?.metadata.resourceVersion ?? '').join(' ');
    if (text !== this.#certificates.text)
      this.#certificates = { text, found: new Map(secrets.flatMap((secret) => [...readCertificates(secret)])) };
    return this.#certificates.found;
  }
}
