import { errors, facts } from '#api';
import { jsonAnswer } from './answer.ts';
import type { RequestInfo } from './contract.ts';
import type { Core } from './core.ts';
import { aggregated, apiGroup, apiGroupList, apiResourceList, apiVersions, groupsOf } from './discovery.ts';
import { notAcceptable, parseAccept } from './negotiate.ts';

/** What lies outside resources: discovery, versions, health, OpenAPI. */
export async function answerPath(core: Core, request: Request, info: RequestInfo): Promise<Response> {
  const extra = core.options.extraPaths?.[info.path];
  if (extra) return extra(request);
  const health = healthOf(info);
  if (health) return health;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw errors.methodNotAllowed('the server does not allow this method on the requested resource');
  }
  const [root = '', ...rest] = info.path.split('/').filter(Boolean);
  if (root === '') return jsonAnswer(request, { paths: rootPaths(core) });
  if (root === 'version' && rest.length === 0) return jsonAnswer(request, versionInfo());
  if (root === 'api' || root === 'apis') return discovery(core, request, root, rest);
  if (root === 'openapi') return openApi(core, request, rest);
  throw errors.noSuchPath();
}

function discovery(core: Core, request: Request, root: 'api' | 'apis', rest: readonly string[]): Response {
  const kinds = core.kinds.all();
  const extra = { streams: Object.keys(core.options.streams ?? {}) };
  const isCore = root === 'api';
  if (rest.length === 0) {
    const stage = wantedStage(request);
    const headers = { vary: 'Accept' };
    if (stage) {
      const type = `application/json;g=apidiscovery.k8s.io;v=${stage};as=APIGroupDiscoveryList`;
      return jsonAnswer(request, aggregated(kinds, isCore, stage, extra), { type, headers });
    }
    return jsonAnswer(request, isCore ? apiVersions(new URL(request.url).host) : apiGroupList(kinds), { headers });
  }
  const [group, version, tooMuch] = isCore ? ['', rest[0], rest[1]] : [rest[0]!, rest[1], rest[2]];
  const known = groupsOf(kinds).find((candidate) => candidate.name === group);
  if (known && !tooMuch && (version === undefined || known.versions.includes(version))) {
    if (version !== undefined) return jsonAnswer(request, apiResourceList(kinds, group as string, version, extra));
    return jsonAnswer(request, { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(known) });
  }
  throw errors.noSuchPath();
}

/** Which aggregated form the client prefers, if any. */
function wantedStage(request: Request): 'v2' | 'v2beta1' | undefined {
  for (const { type, parameters } of parseAccept(request.headers.get('accept') ?? '')) {
    if (type !== 'application/json' && type !== '*/*') continue;
    if (!parameters['as']) return undefined;
    const stage = parameters['v'];
    if (
      parameters['as'] === 'APIGroupDiscoveryList' &&
      parameters['g'] === 'apidiscovery.k8s.io' &&
      (stage === 'v2' || stage === 'v2beta1')
    )
      return stage;
  }
  return undefined;
}

function openApi(core: Core, request: Request, rest: readonly string[]): Response {
  const documents = core.options.openApi;
  const missing = errors.noSuchPath();
  if (!documents) throw missing;
  const kinds = core.kinds.all();
  const [version, ...place] = rest;
  if (version === 'v2' && place.length === 0) {
    const wanted = parseAccept(request.headers.get('accept') ?? '*/*');
    if (!wanted.some(({ type }) => type === 'application/json' || type === '*/*'))
      throw notAcceptable(['application/json']);
    return jsonAnswer(request, documents.openApiV2(kinds));
  }
  if (version !== 'v3') throw missing;
  if (place.length === 0) {
    const paths = groupsOf(kinds).flatMap(({ name, versions }) =>
      versions.map((text) => (name ? `apis/${name}/${text}` : `api/${text}`)),
    );
    const hash = Bun.hash(`${core.kinds.generation}/${facts().version}/${paths.join()}`).toString(16).toUpperCase();
    const entries = paths.map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }]);
    return jsonAnswer(request, { paths: Object.fromEntries(entries) });
  }
  const [group, groupVersion] = place[0] === 'api' ? ['', place[1]] : [place[1], place[2]];
  const document = documents.openApiV3(group ?? '', groupVersion ?? '', kinds);
  if (document === undefined) throw missing;
  return jsonAnswer(request, document);
}

const checks = ['ping', 'log', 'store', 'watch-cache'];
function healthOf({ path, query }: RequestInfo): Response | undefined {
  const [, root = '', name, more] = path.split('/');
  if (!['healthz', 'livez', 'readyz'].includes(root) || more !== undefined) return undefined;
  if (name && !checks.includes(name)) throw errors.noSuchPath();
  const lines = checks.map((check) => `[+]${check} ok\n`).join('');
  const text = query.has('verbose') && !name ? `${lines}${root} check passed\n` : 'ok';
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-cache, private',
    'x-content-type-options': 'nosniff',
  };
  return new Response(text, { headers });
}

function rootPaths(core: Core): string[] {
  const groups = groupsOf(core.kinds.all()).filter((group) => group.name);
  const versions = groups.flatMap(({ name, versions }) => [
    `/apis/${name}`,
    ...versions.map((version) => `/apis/${name}/${version}`),
  ]);
  return [
    '/api',
    '/api/v1',
    '/apis',
    ...versions,
    '/healthz',
    '/livez',
    '/openapi/v2',
    '/openapi/v3',
    '/readyz',
    '/version',
  ].sort();
}

function versionInfo() {
  const [major, minor] = facts().version.replace(/^v/, '').split('.');
  return {
    major,
    minor,
    gitVersion: `v${facts().version.replace(/^v/, '')}+pintle`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: 'bun',
    platform: 'linux/amd64',
  };
}
