import { facts } from '#api';
import { type Clock, Counter, Gauge, Histogram, metricsText, ProcessMetrics } from '#base';
import type { RequestInfo } from './contract.ts';
import { Lane } from './lane.ts';
import type { WatchCache } from './watch-cache.ts';

/** Upper ends in seconds, as upstream's, so that its dashboards and alerts read them. */
const durationSeconds = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
];
const responseBytes = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
const place = ['group', 'resource', 'scope', 'subresource', 'verb', 'version'];
/** Whose counters are kept at hand; clients name the places. */
const placesMax = 2_000;
const placeCharactersMax = 300;
const longRunningSubresources = new Set(['exec', 'attach', 'portforward', 'proxy', 'log']);

/** What the API server counts, under upstream's names where there is one. */
export class ApiMetrics {
  readonly #requests = new Counter('apiserver_request_total', 'Requests by what they asked for and what came back.', [
    'code',
    'component',
    'dry_run',
    ...place,
  ]);
  readonly #durations = new Histogram(
    'apiserver_request_duration_seconds',
    'Time to the answer; to its first byte for streams.',
    ['component', 'dry_run', ...place],
    durationSeconds,
  );
  readonly #sizes = new Histogram(
    'apiserver_response_sizes',
    'Bytes of answers.',
    ['component', ...place],
    responseBytes,
  );
  readonly #inFlight = new Gauge('apiserver_current_inflight_requests', 'Requests in work.', ['request_kind']);
  readonly #long = new Gauge('apiserver_longrunning_requests', 'Streams that are open.', ['component', ...place]);
  readonly #refused = new Counter('apiserver_request_terminations_total', 'Requests refused to protect the server.', [
    'code',
    'component',
    ...place,
  ]);
  readonly #deprecated = new Gauge('apiserver_requested_deprecated_apis', 'Deprecated kinds that were asked for.', [
    'group',
    'removed_release',
    'resource',
    'subresource',
    'version',
  ]);
  readonly #objects = new Gauge('apiserver_storage_objects', 'Objects stored, by resource.', ['resource']);
  readonly #resourceObjects = new Gauge('apiserver_resource_objects', 'Objects stored, by group and resource.', [
    'group',
    'resource',
  ]);
  readonly #watchEvents = new Counter('apiserver_watch_events_total', 'Events sent to watchers.', [
    'group',
    'resource',
    'version',
  ]);
  readonly #build = new Gauge('kubernetes_build_info', 'What runs.', ['git_version', 'major', 'minor', 'platform']);
  readonly #process: ProcessMetrics;

  constructor(
    private readonly cache: WatchCache,
    clock: Clock,
  ) {
    const [major = '', minor = ''] = facts().version.replace(/^v/, '').split('.');
    this.#build.set([`v${facts().version.replace(/^v/, '')}+pintle`, major, minor, 'linux'], 1);
    this.#process = new ProcessMetrics(clock.now());
  }

  /** Requests in work now; as many as upstream's --max-requests-inflight and --max-mutating-requests-inflight. Streams do not count. */
  readonly inFlight = { read: new Lane(400), write: new Lane(200) };

  answered(info: RequestInfo, code: number, milliseconds: number, bytes: number | undefined): void {
    const dryRun = readVerbs.has(info.verb) ? '' : info.query.getAll('dryRun').filter(Boolean).join(',');
    const scope = info.name ? 'resource' : info.namespace ? 'namespace' : 'cluster';
    const what = info.isResource
      ? `${info.verb} ${info.group}/${info.version}/${info.resource}/${info.subresource}`
      : `${info.verb} /${info.path.split('/', 2)[1]}`;
    const key = `${code} ${dryRun} ${scope} ${what}`;
    let known = this.#places.get(key);
    if (!known) {
      if (this.#places.size >= placesMax) this.#places.clear();
      known = this.#countersOf(info, code, dryRun);
      if (key.length <= placeCharactersMax) this.#places.set(key, known);
    }
    known.requests(1);
    known.durations?.(milliseconds / 1000);
    if (bytes !== undefined) known.sizes?.(bytes);
    known.refused?.(1);
  }
  /** What counts answers, by code and place: three keys of eight labels each were a twelfth of a small read. */
  readonly #places = new Map<string, Counters>();
  #countersOf(info: RequestInfo, code: number, dryRun: string): Counters {
    const where = placeOf(info);
    const component = info.isResource ? 'apiserver' : '';
    return {
      requests: this.#requests.at([String(code), component, dryRun, ...where]),
      durations: isLongRunning(info) ? undefined : this.#durations.at([component, dryRun, ...where]),
      sizes: info.isResource ? this.#sizes.at([component, ...where]) : undefined,
      refused: code === 429 ? this.#refused.at([String(code), component, ...where]) : undefined,
    };
  }
  /** A stream began; the answer ends it, and is called once. */
  longRunning(info: RequestInfo): () => void {
    const count = this.#long.at(['apiserver', ...placeOf(info)]);
    count(1);
    return () => count(-1);
  }
  deprecated({ group, resource, subresource, version }: RequestInfo): void {
    this.#deprecated.set([group, '', resource, subresource, version], 1);
  }
  watchEvents(labels: readonly [group: string, resource: string, version: string], count: number): void {
    this.#watchEvents.add(labels, count);
  }

  text(): string {
    return metricsText(
      [
        ...[this.#requests, this.#durations, this.#sizes, this.#inFlight, this.#long, this.#refused, this.#deprecated],
        ...[this.#objects, this.#resourceObjects, this.#watchEvents, this.#build],
        ...this.#process.all,
      ],
      () => {
        for (const gauge of [this.#objects, this.#resourceObjects]) gauge.clear();
        for (const { served, size } of this.cache.caches()) {
          const { group, plural } = served.kind;
          this.#objects.set([group ? `${plural}.${group}` : plural], size);
          this.#resourceObjects.set([group, plural], size);
        }
        this.#inFlight.set(['mutating'], this.inFlight.write.size);
        this.#inFlight.set(['readOnly'], this.inFlight.read.size);
        this.#process.refresh();
      },
    );
  }
}

interface Counters {
  readonly requests: (by: number) => void;
  readonly durations: ((seconds: number) => void) | undefined;
  readonly sizes: ((bytes: number) => void) | undefined;
  readonly refused: ((by: number) => void) | undefined;
}

const isLongRunning = ({ verb, subresource }: RequestInfo): boolean =>
  verb === 'watch' || longRunningSubresources.has(subresource);

/** group, resource, scope, subresource, verb, version. Paths outside resources stand under their first part alone. */
function placeOf(info: RequestInfo): string[] {
  if (!info.isResource) {
    const root = `/${info.path.split('/')[1] ?? ''}`;
    return ['', '', '', knownRoots.has(root) ? root : '/other', info.verb.toUpperCase(), ''];
  }
  const scope = info.name ? 'resource' : info.namespace ? 'namespace' : 'cluster';
  return [info.group, info.resource, scope, info.subresource, verbText(info.verb), info.version];
}
const knownRoots = new Set([
  '/api',
  '/apis',
  '/healthz',
  '/livez',
  '/readyz',
  '/metrics',
  '/openapi',
  '/version',
  '/openid',
  '/.well-known',
]);
const readVerbs = new Set(['get', 'list', 'watch']);
const httpVerbs: Readonly<Record<string, string>> = { create: 'POST', update: 'PUT' };
const verbText = (verb: string): string => httpVerbs[verb] ?? verb.toUpperCase();
