import { readFileSync } from 'node:fs';
import { PintleError } from '#base';
import type { Config, Home } from '../home.ts';

export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly names: readonly string[];
}
export interface AnyObject {
  apiVersion?: string;
  kind?: string;
  metadata: { name?: string; namespace?: string; resourceVersion?: string; [field: string]: unknown };
  [field: string]: unknown;
}
/** An answer that is no success, in kubectl's words. */
export class ServerError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The cluster's API as its administrator. */
export class Api {
  readonly origin: string;
  readonly ca: string;
  readonly token: string;
  #resources: Promise<Resource[]> | undefined;

  constructor(home: Home, config: Config) {
    this.origin = `https://127.0.0.1:${config.port}`;
    this.ca = readFileSync(home.path('pki', 'ca.crt'), 'utf8');
    this.token = (home.readFile('credentials/admin.token') ?? '').trim();
  }

  /** Throws ServerError for a Status, API_SILENT when nobody answers. */
  async request(
    method: string,
    path: string,
    options: { accept?: string; type?: string; body?: string; signal?: AbortSignal } = {},
  ): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(this.origin + path, {
        method,
        headers: {
          authorization: `Bearer ${this.token}`,
          accept: options.accept ?? 'application/json',
          ...(options.body === undefined ? {} : { 'content-type': options.type ?? 'application/json' }),
        },
        body: options.body,
        tls: { ca: this.ca },
        signal: options.signal,
      });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new PintleError(
        'API_SILENT',
        `the API server at ${this.origin} does not answer`,
        'start the cluster: ./pintle up --detach',
      );
    }
    if (answer.ok) return answer;
    throw new ServerError(answer.status, errorText(await answer.text(), answer.status));
  }
  async json<T>(method: string, path: string, options: Parameters<Api['request']>[2] = {}): Promise<T> {
    return (await (await this.request(method, path, options)).json()) as T;
  }

  resources(): Promise<Resource[]> {
    this.#resources ??= this.#discover();
    return this.#resources;
  }
  async #discover(): Promise<Resource[]> {
    const groups = await this.json<{ groups: { preferredVersion: { groupVersion: string } }[] }>('GET', '/apis');
    const versions = ['v1', ...groups.groups.map((group) => group.preferredVersion.groupVersion)];
    const lists = await Promise.all(versions.map((version) => this.#resourcesOf(version)));
    return lists.flat();
  }
  async #resourcesOf(groupVersion: string): Promise<Resource[]> {
    const [group, version] = groupVersion.includes('/') ? groupVersion.split('/') : ['', groupVersion];
    const list = await this.json<{
      resources: { name: string; singularName?: string; kind: string; namespaced: boolean; shortNames?: string[] }[];
    }>('GET', group ? `/apis/${groupVersion}` : `/api/${groupVersion}`);
    return list.resources
      .filter(({ name }) => !name.includes('/'))
      .map(({ name, singularName, kind, namespaced, shortNames = [] }) => ({
        group: group!,
        version: version!,
        plural: name,
        kind,
        namespaced,
        names: [name, singularName || kind.toLowerCase(), kind.toLowerCase(), ...shortNames],
      }));
  }

  /** `po`, `pods`, `pod`, `Pod`, `deployments.apps`. */
  async resource(word: string): Promise<Resource> {
    const text = word.toLowerCase();
    const found = (await this.resources()).find(
      ({ names, group }) => names.includes(text) || names.some((name) => group && text === `${name}.${group}`),
    );
    if (!found) throw new ServerError(404, `error: the server doesn't have a resource type "${word}"`);
    return found;
  }
  async resourceOfKind(object: AnyObject): Promise<Resource> {
    const { apiVersion = '', kind = '' } = object;
    const found = (await this.resources()).find((one) => one.kind === kind && apiVersionOf(one) === apiVersion);
    if (!found) throw new ServerError(404, `error: no matches for kind "${kind}" in version "${apiVersion}"`);
    return found;
  }
}

export const apiVersionOf = ({ group, version }: Resource): string => (group ? `${group}/${version}` : version);
export function pathOf(resource: Resource, namespace: string | undefined, name?: string, subresource?: string): string {
  const base = resource.group ? `/apis/${resource.group}/${resource.version}` : `/api/${resource.version}`;
  const place = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const tail = [resource.plural, name, subresource]
    .filter((part) => part !== undefined)
    .map(encodeURIComponent)
    .join('/');
  return `${base}${place}/${tail}`;
}
/** `pod`, or `deployment.apps`: how kubectl names what it changed. */
export const shownKind = ({ kind, group }: Resource): string => kind.toLowerCase() + (group && `.${group}`);

function errorText(text: string, status: number): string {
  try {
    const { message, reason } = JSON.parse(text) as { message?: string; reason?: string };
    if (message) return reason ? `Error from server (${reason}): ${message}` : `Error from server: ${message}`;
  } catch {} // no Status
  return `Error from server: HTTP ${status} ${text.slice(0, 300)}`;
}
