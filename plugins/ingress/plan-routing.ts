import type { api, KubeObject } from '#sdk';
import { readWishes, type Wishes } from './annotations.ts';
import { endpointsOf, type ServiceObject, type SliceObject, servicePort } from './endpoints.ts';
import type { Action, Backend, Certificate, Condition, Forward, PathMatch, Route, VirtualHost } from './model.ts';
import { controllerName } from './places.ts';

export type IngressObject = Readonly<api.Ingress & KubeObject>;
export type IngressClassObject = Readonly<api.IngressClass & KubeObject>;

/** What a Secret of type kubernetes.io/tls holds, or why it cannot be used. */
export type KnownCertificate = CheckedCertificate | { readonly problem: string };
export interface CheckedCertificate {
  readonly version: string;
  readonly cert: string;
  readonly key: string;
  /** Which names it is for, lower case. */
  readonly names: readonly string[];
}

export interface RoutingView {
  readonly ingresses: readonly IngressObject[];
  readonly classes: readonly IngressClassObject[];
  service(namespace: string, name: string): ServiceObject | undefined;
  slices(namespace: string, name: string): readonly SliceObject[];
  /** Undefined: there is none. */
  certificate(namespace: string, name: string): KnownCertificate | undefined;
  mayReach(ip: string): boolean;
  /** `namespace/name:port`. */
  readonly defaultBackend?: { readonly namespace: string; readonly name: string; readonly port: number };
}
export interface Finding {
  readonly reason:
    | 'Conflict'
    | 'InvalidAnnotation'
    | 'UnknownAnnotation'
    | 'BackendNotFound'
    | 'CertificateNotUsable'
    | 'CanaryWithoutMain';
  readonly message: string;
}
export interface Planned {
  readonly hosts: readonly VirtualHost[];
  readonly backends: readonly Backend[];
  readonly certificates: readonly Certificate[];
  readonly fallback?: Action;
  /** Of each Ingress that is ours, by `namespace/name`. */
  readonly findings: ReadonlyMap<string, readonly Finding[]>;
  /** `namespace/name` of the Secrets that are named, usable or not. */
  readonly secrets: ReadonlySet<string>;
  /** And of the Services, there or not: changes of others are none of this. */
  readonly services: ReadonlySet<string>;
}

/** Ours by its class. What has no class is nobody's: admission gives the default one to those that come without. */
export function isOurs(ingress: IngressObject, classes: readonly IngressClassObject[]): boolean {
  const named = ingress.spec?.ingressClassName ?? ingress.metadata.annotations?.['kubernetes.io/ingress.class'];
  const found = named === undefined ? undefined : classes.find(({ metadata }) => metadata.name === named);
  return found?.spec?.controller === controllerName && ingress.metadata.deletionTimestamp === undefined;
}
export const keyOfIngress = ({ metadata }: IngressObject): string => `${metadata.namespace}/${metadata.name}`;

/**
 * The routing that all Ingresses together mean. Where two of them claim the same, the older one has it and the other one is
 * told; a mistake leaves out what it is in and nothing else. Pure; the same input gives the same output.
 */
export function planRouting(view: RoutingView): Planned {
  return new Plan(view).run();
}

interface Claim {
  readonly match: PathMatch;
  routes: Route[];
  readonly owner: string;
}
class Plan {
  readonly #hosts = new Map<string, Map<string, Claim>>();
  readonly #backends = new Map<string, Backend>();
  readonly #findings = new Map<string, Finding[]>();
  readonly #names = new Map<string, string>(); // SNI name → the Secret that has it
  readonly #secrets = new Set<string>();
  readonly #services = new Set<string>();

  constructor(private readonly view: RoutingView) {}

  run(): Planned {
    const ours = this.view.ingresses.filter((one) => isOurs(one, this.view.classes)).sort(byAge);
    const read = ours.map((ingress) => {
      const { wishes, problems } = readWishes(ingress.metadata.annotations);
      this.#findings.set(keyOfIngress(ingress), [...problems]);
      return { ingress, wishes };
    });
    for (const { ingress, wishes } of read) if (!wishes.canary) this.#addRules(ingress, wishes);
    for (const { ingress, wishes } of read) if (!wishes.canary) this.#addDefaults(ingress, wishes);
    for (const { ingress, wishes } of read) if (wishes.canary) this.#addCanary(ingress, wishes);
    for (const { ingress } of read) this.#addCertificates(ingress);
    const { defaultBackend } = this.view;
    const fallback = defaultBackend && this.#fallbackTo(defaultBackend);
    return {
      hosts: [...this.#hosts].map(([host, claims]) => ({
        host,
        paths: [...claims.values()].map(({ match, routes }) => ({ match, routes })),
      })),
      backends: [...this.#backends.values()],
      certificates: this.#certificates(),
      ...(fallback ? { fallback } : {}),
      findings: this.#findings,
      secrets: this.#secrets,
      services: this.#services,
    };
  }

  #tell(ingress: IngressObject, reason: Finding['reason'], message: string): void {
    const list = this.#findings.get(keyOfIngress(ingress))!;
    if (!list.some((one) => one.reason === reason && one.message === message)) list.push({ reason, message });
  }

  #addRules(ingress: IngressObject, wishes: Wishes): void {
    for (const { host = '', http } of ingress.spec?.rules ?? [])
      for (const { path, pathType, backend } of http?.paths ?? []) {
        const match = matchOf(path, pathType);
        const action = this.#actionOf(ingress, wishes, backend, match);
        this.#claim(ingress, host.toLowerCase(), match, routeOf(ingress, wishes, host, match, action));
      }
  }
  /** For what no path of its hosts is for; without rules for every host that nobody has. */
  #addDefaults(ingress: IngressObject, wishes: Wishes): void {
    const { defaultBackend, rules = [] } = ingress.spec ?? {};
    if (!defaultBackend) return;
    const match: PathMatch = { type: 'prefix', value: '/' };
    for (const host of rules.length === 0 ? [''] : new Set(rules.map((rule) => (rule.host ?? '').toLowerCase()))) {
      const former = this.#hosts.get(host)?.get(keyOfMatch(match));
      if (former?.owner === keyOfIngress(ingress)) continue; // its own rule for everything comes first
      const action = this.#actionOf(ingress, wishes, defaultBackend, match);
      this.#claim(ingress, host, match, routeOf(ingress, wishes, host, match, action));
    }
  }
  #claim(ingress: IngressObject, host: string, match: PathMatch, route: Route): void {
    let claims = this.#hosts.get(host);
    if (!claims) this.#hosts.set(host, (claims = new Map()));
    const former = claims.get(keyOfMatch(match));
    if (former)
      this.#tell(
        ingress,
        'Conflict',
        `${textOf(host, match)} is ${former.owner === keyOfIngress(ingress) ? 'there twice' : `served for the older Ingress ${former.owner}`}`,
      );
    else claims.set(keyOfMatch(match), { match, routes: [route], owner: keyOfIngress(ingress) });
  }

  #addCanary(ingress: IngressObject, wishes: Wishes): void {
    for (const { host = '', http } of ingress.spec?.rules ?? [])
      for (const { path, pathType, backend } of http?.paths ?? []) {
        const match = matchOf(path, pathType);
        const main = this.#hosts.get(host.toLowerCase())?.get(keyOfMatch(match));
        const isOwn = main?.owner.startsWith(`${ingress.metadata.namespace}/`);
        const standing = main?.routes.at(-1);
        if (!main || !isOwn || standing?.action.type !== 'forward')
          this.#tell(ingress, 'CanaryWithoutMain', `no Ingress of this namespace serves ${textOf(host, match)}`);
        else if (main.routes.length > 1 || standing.action.targets.length > 1)
          this.#tell(ingress, 'Conflict', `${textOf(host, match)} has a canary already`);
        else {
          const canary = this.#actionOf(ingress, wishes, backend, match);
          if (canary.type === 'forward')
            main.routes = withCanary(standing, standing.action, canary, wishes, keyOfIngress(ingress));
        }
      }
  }

  #actionOf(ingress: IngressObject, wishes: Wishes, backend: Readonly<api.IngressBackend>, match: PathMatch): Action {
    if (wishes.redirect) return wishes.redirect;
    const { service, resource } = backend;
    const namespace = ingress.metadata.namespace!;
    const unfit = (message: string): Action => {
      this.#tell(ingress, 'BackendNotFound', message);
      return { type: 'answer', status: 503 };
    };
    if (resource || !service)
      return unfit(`backends of kind ${resource?.kind ?? '?'} are not served here, only Services`);
    const found = this.#service(namespace, service.name);
    if (!found) return unfit(`the Service ${namespace}/${service.name} is not there`);
    if (found.spec?.type === 'ExternalName')
      return unfit(`the Service ${namespace}/${service.name} is but a name of another host`);
    const port = servicePort(found, service.port);
    const wanted = service.port?.name ?? service.port?.number;
    if (!port) return unfit(`the Service ${namespace}/${service.name} has no TCP port ${wanted}`);
    const id = this.#backend(namespace, service.name, port.port, port.name ?? '', wishes);
    const rewrite = wishes.rewritePrefix !== undefined && match.type === 'prefix';
    return {
      type: 'forward',
      targets: [{ backend: id, weight: 1 }],
      ...(rewrite ? { replacePrefix: { from: match.value, to: trimmed(wishes.rewritePrefix!) } } : {}),
    };
  }
  #service(namespace: string, name: string): ServiceObject | undefined {
    this.#services.add(`${namespace}/${name}`);
    return this.view.service(namespace, name);
  }
  #backend(namespace: string, name: string, port: number, portName: string, wishes: Wishes): string {
    const { protocol, timeouts, connectRetries } = wishes;
    const manner = JSON.stringify([protocol, timeouts, connectRetries]);
    const id = `${namespace}/${name}:${port}${manner === usual ? '' : `:${Bun.hash(manner).toString(36)}`}`;
    if (!this.#backends.has(id)) {
      const endpoints = endpointsOf(this.view.slices(namespace, name), portName, this.view.mayReach);
      this.#backends.set(id, { id, protocol, endpoints, timeouts, connectRetries });
    }
    return id;
  }
  #fallbackTo({ namespace, name, port }: NonNullable<RoutingView['defaultBackend']>): Action | undefined {
    const service = this.#service(namespace, name);
    const found = service && service.spec?.type !== 'ExternalName' ? servicePort(service, { number: port }) : undefined;
    if (!found) return undefined;
    const id = this.#backend(namespace, name, port, found.name ?? '', readWishes().wishes);
    return { type: 'forward', targets: [{ backend: id, weight: 1 }] };
  }

  #addCertificates(ingress: IngressObject): void {
    const namespace = ingress.metadata.namespace!;
    for (const { secretName, hosts } of ingress.spec?.tls ?? []) {
      if (!secretName) continue; // the default certificate
      const id = `${namespace}/${secretName}`;
      this.#secrets.add(id);
      const known = this.view.certificate(namespace, secretName);
      const unfit = (why: string) =>
        this.#tell(ingress, 'CertificateNotUsable', `the Secret ${id} ${why}; the default certificate is served`);
      if (!known) unfit('is not there, or is not of type kubernetes.io/tls');
      else if ('problem' in known) unfit(known.problem);
      else
        for (const host of (hosts?.length ? hosts : hostsOf(ingress)).map((one) => one.toLowerCase())) {
          const owner = this.#names.get(host);
          if (!covers(known.names, host)) unfit(`is not for ${host}`);
          else if (owner === undefined) this.#names.set(host, id);
          else if (owner !== id)
            this.#tell(ingress, 'Conflict', `${host} has the certificate of the older Secret ${owner}`);
        }
    }
  }
  #certificates(): Certificate[] {
    const names = Map.groupBy(this.#names.entries(), ([, id]) => id);
    return [...names].flatMap(([id, list]) => {
      const slash = id.indexOf('/');
      const known = this.view.certificate(id.slice(0, slash), id.slice(slash + 1));
      if (!known || 'problem' in known) return [];
      const { version, cert, key } = known;
      return [{ id, version, cert, key, names: list.map(([name]) => name) }];
    });
  }
}

const usualWishes = readWishes().wishes;
const usual = JSON.stringify([usualWishes.protocol, usualWishes.timeouts, usualWishes.connectRetries]);

/** Always to the canary, never to it, or by weight: header before cookie before weight. */
function withCanary(main: Route, action: Forward, canary: Forward, { canary: wishes }: Wishes, owner: string): Route[] {
  const { header, cookie, weight } = wishes!;
  const routes: Route[] = [];
  const when = (name: string, condition: Condition, target: Action) =>
    routes.push({ ...main, id: `${main.id}:${owner.split('/')[1]}-${name}`, conditions: [condition], action: target });
  if (header) {
    when('header', { type: 'header', name: header.name, value: header.value }, canary);
    if (header.value === 'always') when('header-never', { type: 'header', name: header.name, value: 'never' }, action);
  }
  if (cookie !== undefined) {
    when('cookie', { type: 'cookie', name: cookie, value: 'always' }, canary);
    when('cookie-never', { type: 'cookie', name: cookie, value: 'never' }, action);
  }
  const share = (forward: Forward, by: number) => forward.targets.map(({ backend }) => ({ backend, weight: by }));
  const targets = [...share(action, 100 - weight), ...share(canary, weight)].filter((target) => target.weight > 0);
  return [...routes, { ...main, action: { ...action, targets } }];
}

const byAge = (a: IngressObject, b: IngressObject): number => {
  const [left, right] = [a, b].map((one) => `${one.metadata.creationTimestamp ?? ''} ${keyOfIngress(one)}`);
  return left! < right! ? -1 : 1;
};
/** ImplementationSpecific is as Prefix here. */
const matchOf = (path: string | undefined, pathType: string): PathMatch =>
  pathType === 'Exact' ? { type: 'exact', value: path || '/' } : { type: 'prefix', value: trimmed(path || '/') };
const trimmed = (path: string): string => path.replace(/\/+$/, '') || '/';
const keyOfMatch = ({ type, value }: PathMatch): string => `${type} ${value}`;
const textOf = (host: string, { type, value }: PathMatch): string => `${host || '*'}${value} (${type})`;
const hostsOf = (ingress: IngressObject): string[] =>
  (ingress.spec?.rules ?? []).flatMap(({ host }) => (host ? [host] : []));

/** A wildcard stands for one label; one that is asked for needs the same one. */
export const covers = (names: readonly string[], host: string): boolean =>
  names.includes(host) || (host.includes('.') && names.includes(`*${host.slice(host.indexOf('.'))}`));

function routeOf(ingress: IngressObject, wishes: Wishes, host: string, match: PathMatch, action: Action): Route {
  const isSecured = (ingress.spec?.tls ?? []).some(
    ({ hosts }) =>
      !hosts?.length ||
      covers(
        hosts.map((one) => one.toLowerCase()),
        host.toLowerCase(),
      ),
  );
  return {
    id: routeId(keyOfIngress(ingress), host, match),
    action,
    ...(isSecured && wishes.sslRedirect ? { httpsRedirect: 308 as const } : {}),
    ...(isSecured && wishes.hsts ? { hsts: wishes.hsts } : {}),
    requestBodyBytesMax: wishes.bodyBytesMax,
  };
}

/** For people who read metrics; what the characters of an id cannot say is told apart by a number. */
function routeId(owner: string, host: string, match: PathMatch): string {
  const text = `${owner}:${host || '_'}${match.value}`;
  const plain = text.replace(/[^A-Za-z0-9._/:-]/g, '_').slice(0, 200);
  const isPlain = plain === text && host !== '' && match.type === 'prefix';
  return isPlain ? plain : `${plain}:${Bun.hash(textOf(host, match)).toString(36)}`;
}
