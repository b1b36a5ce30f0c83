/**
 * The data format of the differential test. A scenario is a list of requests that is sent, in order, to upstream's API
 * server and to ours; every answer is compared (status, media type, warnings, body) after values that must differ are masked.
 *
 * Placeholders in `path`, `headers` and every text of `body`:
 * - `{ns}` a namespace made for this scenario on both servers (it holds a ServiceAccount `default`); also good as a unique
 *   name of cluster-wide objects.
 * - `{NAME}` what an earlier exchange kept with `keep: { NAME: 'metadata.resourceVersion' }`, for each server its own.
 */
export interface Exchange {
  /** Default GET, or POST when there is a body. */
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Texts and bytes go out as they are; everything else as JSON. The content type is JSON unless `headers` say otherwise. */
  readonly body?: unknown;
  /** Dotted paths into the JSON answer; a list element by its index. */
  readonly keep?: Readonly<Record<string, string>>;
  /** Read an event stream until so many frames came (or two seconds passed). */
  readonly frames?: number;
  /** Sent while that stream is open. */
  readonly meanwhile?: readonly Exchange[];
  /** Sent again until the answer has this status, for 20 seconds at most. */
  readonly untilStatus?: number;
  /** Upstream walks maps without an order: mistakes and warnings are compared as sets. */
  readonly anyOrder?: boolean;
  /** Only these parts are compared; default `['status', 'type', 'warning', 'body']`. */
  readonly compare?: readonly Part[];
  /** Only this part of the body is compared, a dotted path such as `status`; what it holds is named by it. */
  readonly only?: string;
}
export type Part = 'status' | 'type' | 'warning' | 'body' | 'cache' | 'vary';

export interface Scenario {
  /** Unique; accepted differences name it. */
  readonly name: string;
  readonly requests: readonly Exchange[];
}

/** A difference that stays, and why. Every line must be used: one that nothing matches fails the test. */
export interface Accepted {
  /** Of scenarios by name. */
  readonly scenario: RegExp;
  /** Of the place of the difference, such as `#2 PUT /api/v1/… body.metadata.labels`. */
  readonly at: RegExp;
  readonly reason: string;
  /** Not in every run: that nothing matches is no mistake. */
  readonly isChance?: boolean;
}

const namespaced = (resource: string): string => {
  const [plural, group = ''] = resource.split('|');
  return group ? `/apis/${group}/namespaces/{ns}/${plural}` : `/api/v1/namespaces/{ns}/${plural}`;
};
/** Short names for request files: `at('pods')`, `at('leases|coordination.k8s.io/v1', 'x')`. */
export const at = (resource: string, name = '', more = ''): string =>
  `${namespaced(resource)}${name && `/${name}`}${more}`;
export const post = (path: string, body: unknown, headers?: Record<string, string>): Exchange => ({
  method: 'POST',
  path,
  body,
  headers,
});
export const put = (path: string, body: unknown): Exchange => ({ method: 'PUT', path, body });
export const remove = (path: string, body?: unknown): Exchange => ({ method: 'DELETE', path, body });
const patchTypes = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;
export const patch = (type: keyof typeof patchTypes, path: string, body: unknown): Exchange => ({
  method: 'PATCH',
  path,
  body,
  headers: { 'content-type': patchTypes[type] },
});
