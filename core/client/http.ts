import {
  apiVersionOf,
  type Kind,
  type KubeObject,
  keyOf,
  type ObjectKey,
  type ObjectList,
  pathOf,
  type Status,
  StatusError,
} from '#api';
import { messageOf, parseExactly } from '#base';
import type { Client, DeleteOptions, Fetch, ListOptions, Patch, WatchEvent, WriteOptions } from './client.ts';
import { readLines } from './lines.ts';

const patchTypes: Record<Patch['type'], string> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
};

export interface HttpClientOptions {
  /** Over the network, or an apiserver's own `fetch` in the same process. */
  readonly fetch: Fetch;
  /** Such as https://127.0.0.1:6443, without a path. */
  readonly baseUrl: string;
  /** Bearer token; a function is asked for each request (tokens that renew). */
  readonly token?: string | (() => string);
  readonly userAgent?: string;
}

export function createClient(options: HttpClientOptions): Client {
  const base = options.baseUrl.replace(/\/+$/, '');

  async function send(method: string, path: string, init: SendInit = {}): Promise<Response> {
    const headers = new Headers({ accept: 'application/json', 'user-agent': options.userAgent ?? 'pintle' });
    const token = typeof options.token === 'function' ? options.token() : options.token;
    if (token) headers.set('authorization', `Bearer ${token}`);
    if (init.body !== undefined) headers.set('content-type', init.contentType ?? 'application/json');
    let response: Response;
    try {
      response = await options.fetch(
        new Request(base + path, {
          method,
          headers,
          body: init.body === undefined ? undefined : JSON.stringify(init.body),
          signal: init.signal,
        }),
      );
    } catch (error) {
      throw new StatusError(503, 'ServiceUnavailable', `${method} ${path}: ${messageOf(error)}`);
    }
    if (response.ok) return response;
    throw await failureOf(response, method, path);
  }

  async function json<R>(method: string, path: string, init?: SendInit): Promise<R> {
    const response = await send(method, path, init);
    try {
      return parseExactly(await response.text()) as R;
    } catch (error) {
      throw new StatusError(503, 'ServiceUnavailable', `${method} ${path}: answer cut short: ${messageOf(error)}`);
    }
  }

  return {
    async get<T>(kind: Kind<T>, key: ObjectKey, get: { subresource?: string; resourceVersion?: string } = {}) {
      const query = queryOf({ resourceVersion: get.resourceVersion });
      return json<T>('GET', pathOf(kind, key.namespace, key.name, get.subresource) + query);
    },
    async list<T>(kind: Kind<T>, list: ListOptions = {}) {
      const answer = await json<ObjectList<T>>('GET', pathOf(kind, list.namespace) + queryOf({ ...list }));
      // Items of a typed list carry no type; who holds one alone (an event's subject, an owner) needs it.
      for (const item of (answer.items ??= [])) named(kind, item);
      return answer;
    },
    create: <T>(kind: Kind<T>, object: T, write: WriteOptions = {}) => {
      const { namespace, name } = keyOf(object as KubeObject);
      // A subresource of a named object (binding) is posted below its name.
      const path = pathOf(kind, namespace, write.subresource ? name : undefined, write.subresource);
      return json<T>('POST', path + writeQuery(write), { body: object });
    },
    update: <T>(kind: Kind<T>, object: T, write: WriteOptions = {}) => {
      const { namespace, name } = keyOf(object as KubeObject);
      return json<T>('PUT', pathOf(kind, namespace, name, write.subresource) + writeQuery(write), { body: object });
    },
    patch: <T>(kind: Kind<T>, key: ObjectKey, patch: Patch, write: WriteOptions = {}) =>
      json<T>('PATCH', pathOf(kind, key.namespace, key.name, write.subresource) + writeQuery(write), {
        body: patch.body,
        contentType: patchTypes[patch.type],
      }),
    apply: <T>(kind: Kind<T>, object: T, apply: { fieldManager: string; force?: boolean; subresource?: string }) => {
      const { namespace, name } = keyOf(object as KubeObject);
      const query = queryOf({ fieldManager: apply.fieldManager, force: apply.force });
      return json<T>('PATCH', pathOf(kind, namespace, name, apply.subresource) + query, {
        body: object,
        contentType: 'application/apply-patch+yaml', // JSON is YAML
      });
    },
    async delete<T>(kind: Kind<T>, key: ObjectKey, remove: DeleteOptions = {}) {
      await json('DELETE', pathOf(kind, key.namespace, key.name, remove.subresource), { body: deleteBody(remove) });
    },
    watch: <T>(
      kind: Kind<T>,
      watch: ListOptions & { allowWatchBookmarks?: boolean; timeoutSeconds?: number },
      signal: AbortSignal,
    ) => watchOnce<T>(send, kind, watch, signal),
    request: <R>(method: string, path: string, body?: unknown, more: Pick<SendInit, 'contentType' | 'signal'> = {}) =>
      json<R>(method, path, { body, ...more }),
  };
}

interface SendInit {
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

async function* watchOnce<T>(
  send: (method: string, path: string, init?: SendInit) => Promise<Response>,
  kind: Kind<T>,
  watch: ListOptions & { allowWatchBookmarks?: boolean; timeoutSeconds?: number },
  signal: AbortSignal,
): AsyncGenerator<WatchEvent<T>> {
  const path = pathOf(kind, watch.namespace) + queryOf({ ...watch, watch: true });
  let response: Response;
  try {
    response = await send('GET', path, { signal });
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
  for await (const line of readLines(response, signal)) {
    const event = parseExactly(line) as { type: string; object: T };
    if (event.type === 'ERROR') throw StatusError.from(event.object as unknown as Status);
    yield { type: event.type, object: named(kind, event.object) } as WatchEvent<T>;
  }
}

function named<T>(kind: Kind<T>, object: T): T {
  const typed = object as { apiVersion?: string; kind?: string };
  typed.apiVersion ??= apiVersionOf(kind);
  typed.kind ??= kind.kind;
  return object;
}

/** The body of a DELETE: metav1.DeleteOptions. */
export const deleteBody = (options: DeleteOptions): Record<string, unknown> => ({
  kind: 'DeleteOptions',
  apiVersion: 'v1',
  gracePeriodSeconds: options.gracePeriodSeconds,
  propagationPolicy: options.propagationPolicy,
  preconditions: options.preconditions,
  dryRun: options.dryRun ? ['All'] : undefined,
});

const writeQuery = (write: WriteOptions): string =>
  queryOf({ dryRun: write.dryRun ? 'All' : undefined, fieldManager: write.fieldManager });

function queryOf(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    if (name !== 'namespace' && value !== undefined && value !== '') search.set(name, String(value));
  const text = search.toString();
  return text && `?${text}`;
}

/** A Status is taken as it is; anything else keeps its code. */
async function failureOf(response: Response, method: string, path: string): Promise<StatusError> {
  const text = await response.text().catch(() => '');
  try {
    const status = JSON.parse(text) as Status;
    if (status.kind === 'Status') return StatusError.from({ ...status, code: status.code ?? response.status });
  } catch {
    // Not JSON: a proxy's page or plain text.
  }
  return new StatusError(
    response.status,
    reasons[response.status] ?? 'Unknown',
    `${method} ${path}: ${response.status} ${text.slice(0, 500)}`,
  );
}
const reasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};
