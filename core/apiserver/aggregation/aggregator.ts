import { type APIService, apiServiceKind, endpointSliceKind, errors, StatusError, serviceKind } from '#api';
import { messageOf, timeText } from '#base';
import type { UserInfo } from '#sdk';
import { drain } from '../body.ts';
import type { AnyKind, AnyObject, RequestInfo } from '../contract.ts';
import type { Core } from '../core.ts';
import { requestHeaders } from '../streaming/proxy-headers.ts';
import { serviceOrigin } from '../streaming/proxy-target.ts';
import { isWebSocket } from '../streaming/upgrade.ts';
import { systemCall } from '../system-call.ts';
import { updateObject } from '../update-object.ts';
import { type BackendTarget, callBackend, type FrontProxy } from './backend-call.ts';

type Spec = NonNullable<APIService['spec']>;
interface Remote {
  readonly name: string;
  readonly spec: Spec;
  /** As the server told it last; undefined until it has answered. */
  resources?: readonly RemoteResource[];
}
export interface RemoteResource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly singularName?: string;
  readonly verbs: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
}
interface Availability {
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}
const checkMs = 10_000;
const checkTimeoutMs = 5_000;
const documentBytesMax = 4 * 1024 * 1024;
const itself: UserInfo = { name: 'system:kube-aggregator', groups: ['system:masters'] };

/** Group versions that another server in the cluster answers for: its APIService names the service that leads there. */
export class Aggregator {
  /** By `group/version`. */
  readonly #remotes = new Map<string, Remote>();
  #wake: (() => void) | undefined;

  constructor(
    private readonly core: Core,
    private readonly proxy: FrontProxy | undefined,
    private readonly ranges: readonly string[],
  ) {
    core.reader.onChange?.(apiServiceKind, (next, previous) =>
      this.#follow(next as APIService, previous as APIService),
    );
    void this.#run();
  }

  #follow(next: APIService | undefined, previous: APIService | undefined): void {
    const before = previous?.spec && this.#remotes.get(keyOf(previous.spec));
    const name = (next ?? previous)?.metadata?.name ?? '';
    if (before?.name === name && !next?.spec?.service) this.#remotes.delete(keyOf(previous!.spec!));
    if (!next?.spec?.service || !next.spec.group) return;
    if (Bun.deepEquals(before?.spec, next.spec)) return;
    this.#remotes.set(keyOf(next.spec), { name, spec: next.spec, resources: before?.resources });
    this.#wake?.();
  }

  /** Of groups that are there, for discovery; what this server serves itself is left out. */
  get groups(): readonly { readonly name: string; readonly versions: readonly string[] }[] {
    const ready = [...this.#remotes.values()].filter(({ resources }) => resources);
    const groups = Map.groupBy(ready, ({ spec }) => spec.group ?? '');
    return [...groups].map(([name, list]) => ({
      name,
      versions: list
        .sort((a, b) => (b.spec.versionPriority ?? 0) - (a.spec.versionPriority ?? 0))
        .map(({ spec }) => spec.version ?? ''),
    }));
  }
  resourcesOf(group: string, version: string): readonly RemoteResource[] {
    return this.#remotes.get(`${group}/${version}`)?.resources ?? [];
  }

  /** Undefined: this server answers itself. */
  find({ path }: RequestInfo): Remote | undefined {
    if (this.#remotes.size === 0) return undefined;
    const [, root, group = '', version = ''] = path.split('/');
    const remote = root === 'apis' ? this.#remotes.get(`${group}/${version}`) : undefined;
    return remote && !this.core.kinds.hasVersion(group, version) ? remote : undefined;
  }
  async answer(remote: Remote, request: Request, user: UserInfo): Promise<Response> {
    if (isWebSocket(request)) {
      await drain(request);
      throw errors.badRequest('an aggregated API server is not reached by WebSocket through this one');
    }
    const url = new URL(request.url);
    const body = request.body ? new Uint8Array(await request.arrayBuffer()) : undefined;
    const headers = requestHeaders(request);
    return callBackend(
      this.#target(remote.spec),
      { method: request.method, path: url.pathname + url.search, headers, body, user, signal: request.signal },
      this.proxy,
    );
  }

  #target({ service, caBundle, insecureSkipTLSVerify }: Spec): BackendTarget {
    const { name = '', namespace = '', port = 443 } = service ?? {};
    try {
      return {
        origin: serviceOrigin(this.core.reader, namespace, `https:${name}:${port}`, this.ranges, this.core.random),
        serverName: `${name}.${namespace}.svc`,
        ca: caBundle ? Buffer.from(caBundle, 'base64').toString() : undefined,
        insecure: insecureSkipTLSVerify === true,
      };
    } catch {
      throw new StatusError(503, 'ServiceUnavailable', 'service unavailable');
    }
  }

  async #run(): Promise<void> {
    const { signal, clock, log } = this.core;
    while (!signal.aborted) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      for (const remote of [...this.#remotes.values()])
        await this.#check(remote).catch((error: unknown) =>
          log.warn('an aggregated API could not be checked', { name: remote.name, error: messageOf(error) }),
        );
      await clock.sleep(checkMs, AbortSignal.any([signal, woken.signal]));
    }
  }

  async #check(remote: Remote): Promise<void> {
    const found = await this.#availability(remote);
    if (found.status === 'False') remote.resources = undefined;
    const { core } = this;
    const kind = apiServiceKind as AnyKind;
    const current = core.cache.cacheOf(kind)?.get('', remote.name)?.object as (AnyObject & APIService) | undefined;
    const known = current?.status?.conditions?.find(({ type }) => type === 'Available');
    if (
      !current ||
      (known?.status === found.status && known.reason === found.reason && known.message === found.message)
    )
      return;
    const call = systemCall(core, kind, 'update', '', remote.name);
    await updateObject(call, {
      verb: 'update',
      subresource: 'status',
      build(now) {
        const next = now.draft() as AnyObject & APIService;
        delete next.metadata.resourceVersion;
        const others = (next.status?.conditions ?? []).filter(({ type }) => type !== 'Available');
        const lastTransitionTime =
          known?.status === found.status ? known.lastTransitionTime : timeText(core.clock.now());
        next.status = { ...next.status, conditions: [...others, { type: 'Available', lastTransitionTime, ...found }] };
        return next;
      },
    });
  }

  async #availability(remote: Remote): Promise<Availability> {
    const { service, group, version } = remote.spec;
    const { name = '', namespace = '' } = service ?? {};
    const { reader, clock, signal } = this.core;
    const no = (reason: string, message: string): Availability => ({ status: 'False', reason, message });
    if (!reader.get(serviceKind, namespace, name))
      return no('ServiceNotFound', `service/${name} in ${JSON.stringify(namespace)} is not present`);
    const slices = reader
      .list(endpointSliceKind, namespace)
      .filter(({ metadata }) => metadata?.labels?.['kubernetes.io/service-name'] === name);
    if (!slices.some(({ endpoints }) => endpoints?.some(({ conditions }) => conditions?.ready !== false)))
      return no('MissingEndpoints', `endpoints for service/${name} in ${JSON.stringify(namespace)} have no addresses`);
    const path = `/apis/${group}/${version}`;
    const stop = new AbortController();
    const late = clock.sleep(checkTimeoutMs, AbortSignal.any([signal, stop.signal])).then(() => stop.abort());
    let origin = '';
    try {
      const target = this.#target(remote.spec);
      ({ origin } = target);
      const headers = new Headers({ accept: 'application/json' });
      const answer = await callBackend(
        target,
        { method: 'GET', path, headers, user: itself, signal: stop.signal },
        this.proxy,
      );
      const bytes = await answer.arrayBuffer();
      if (answer.status !== 200 || bytes.byteLength > documentBytesMax)
        return no(
          'FailedDiscoveryCheck',
          `failing or missing response from ${origin}${path}: bad status from ${origin}${path}: ${answer.status}`,
        );
      const { resources } = JSON.parse(Buffer.from(bytes).toString()) as { resources?: RemoteResource[] };
      remote.resources = resources ?? [];
      return { status: 'True', reason: 'Passed', message: 'all checks passed' };
    } catch (error) {
      return no('FailedDiscoveryCheck', `failing or missing response from ${origin}${path}: ${messageOf(error)}`);
    } finally {
      stop.abort();
      await late;
    }
  }
}
const keyOf = ({ group = '', version = '' }: Spec): string => `${group}/${version}`;

/** As aggregated discovery shows them. */
export const aggregatedResources = (resources: readonly RemoteResource[]): object[] =>
  resources
    .filter(({ name }) => !name.includes('/'))
    .map(({ name, kind, namespaced, singularName = '', verbs, shortNames, categories }) => {
      const parts = resources
        .filter((one) => one.name.startsWith(`${name}/`))
        .map((one) => ({
          subresource: one.name.slice(name.length + 1),
          responseKind: { group: '', version: '', kind: one.kind },
          verbs: one.verbs,
        }));
      return {
        resource: name,
        responseKind: { group: '', version: '', kind },
        scope: namespaced ? 'Namespaced' : 'Cluster',
        singularResource: singularName,
        verbs,
        ...(shortNames?.length ? { shortNames } : {}),
        ...(categories?.length ? { categories } : {}),
        ...(parts.length > 0 ? { subresources: parts } : {}),
      };
    });
