import { errors, facts } from '#api';
import { metricsType } from '#base';
import { aggregatedResources } from './aggregation/aggregator.ts';
import { bytesAnswer, jsonAnswer } from './answer.ts';
import type { ExtraPath, RequestInfo } from './contract.ts';
import type { Core } from './core.ts';
import { aggregated, apiGroup, apiGroupList, apiResourceList, apiVersions, groupsOf } from './discovery.ts';
import { answerOpenApi, matchesEtag } from './documents-answer.ts';
import { answerHealth, healthPaths } from './health.ts';
import { negotiate, parseAccept, protobufType, yamlType } from './negotiate.ts';
import { yamlText } from './yaml-text.ts';

/** What lies outside resources: discovery, versions, health, OpenAPI. */
export async function answerPath(
  core: Core,
  request: Request,
  info: RequestInfo,
  context: Parameters<ExtraPath>[1],
): Promise<Response | undefined> {
  const extra = core.options.extraPaths?.get(info.path);
  if (extra) return extra(request, context);
  const health = await answerHealth(core, info.path, info.query);
  if (health) return health;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw errors.methodNotAllowed('the server does not allow this method on the requested resource');
  }
  const [root = '', ...rest] = info.path.split('/').filter(Boolean);
  if (root === '') return jsonAnswer(request, { paths: rootPaths(core) });
  if (root === 'version' && rest.length === 0) return jsonAnswer(request, versionInfo());
  if (root === 'metrics' && rest.length === 0)
    return new Response(core.metrics.text(), {
      headers: { 'content-type': metricsType, 'cache-control': 'no-cache, private' },
    });
  if (root === 'api' || root === 'apis') return discovery(core, request, root, rest);
  if (root === 'openapi') return answerOpenApi(core, request, rest);
  return noPage();
}

/** Where no group and no version is: upstream's router answers in plain text. */
const noPage = () => new Response('404 page not found\n', { status: 404, headers: plainHeaders });
const plainHeaders = {
  'content-type': 'text/plain; charset=utf-8',
  'cache-control': 'no-cache, private',
  'x-content-type-options': 'nosniff',
};
const types = { protobuf: true, verb: 'get' };

async function documentOf(core: Core, request: Request, value: object): Promise<Response> {
  const { format, pretty } = negotiate(request, new URLSearchParams(), types);
  if (format === 'yaml') return bytesAnswer(request, await yamlText(value), { type: yamlType });
  const message = format === 'protobuf' ? core.encodings.value(value) : undefined;
  if (message) return bytesAnswer(request, message, { type: protobufType });
  return bytesAnswer(request, JSON.stringify(value, null, pretty ? 2 : undefined));
}

async function discovery(
  core: Core,
  request: Request,
  root: 'api' | 'apis',
  rest: readonly string[],
): Promise<Response> {
  const kinds = core.kinds.all();
  const extra = { streams: Object.keys(core.options.streams ?? {}) };
  const isCore = root === 'api';
  if (rest.length === 0) {
    const stage = wantedStage(request);
    const remote = isCore ? [] : remoteGroups(core);
    if (stage) {
      const document = aggregated(kinds, isCore, stage, extra);
      return aggregatedAnswer(request, { ...document, items: [...document.items, ...remote.map(asItem(core))] }, stage);
    }
    if (isCore) return documentOf(core, request, apiVersions(new URL(request.url).host));
    const list = apiGroupList(kinds);
    return documentOf(core, request, { ...list, groups: [...list.groups, ...remote.map(apiGroup)] });
  }
  const [group, version, tooMuch] = isCore ? ['', rest[0], rest[1]] : [rest[0]!, rest[1], rest[2]];
  const known = [...groupsOf(kinds), ...remoteGroups(core)].find((candidate) => candidate.name === group);
  if (!known || tooMuch || (version !== undefined && !known.versions.includes(version))) {
    if (isCore) throw errors.noSuchPath();
    return noPage();
  }
  if (version !== undefined) return documentOf(core, request, apiResourceList(kinds, group as string, version, extra));
  return documentOf(core, request, { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(known) });
}

/** Of other servers; a group of which this server has a version is its own. */
const remoteGroups = ({ aggregator, kinds }: Core): readonly { name: string; versions: readonly string[] }[] =>
  (aggregator?.groups ?? []).filter(({ name }) => !kinds.all().some(({ kind }) => kind.group === name));
const asItem =
  (core: Core) =>
  ({ name, versions }: { readonly name: string; readonly versions: readonly string[] }) => ({
    metadata: { name },
    versions: versions.map((version) => ({
      version,
      freshness: 'Current',
      resources: aggregatedResources(core.aggregator?.resourcesOf(name, version) ?? []),
    })),
  });

/** With an ETag, so that clients ask for changes only. */
async function aggregatedAnswer(request: Request, document: object, stage: string): Promise<Response> {
  const text = JSON.stringify(document);
  const etag = `"${new Bun.CryptoHasher('sha512').update(text).digest('hex').toUpperCase()}"`;
  const headers = { 'cache-control': 'public', etag, vary: 'Accept' };
  if (matchesEtag(request, etag)) return new Response(null, { status: 304, headers });
  return bytesAnswer(request, text, {
    type: `application/json;g=apidiscovery.k8s.io;v=${stage};as=APIGroupDiscoveryList`,
    headers,
  });
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
    ...healthPaths,
    ...(core.options.extraPaths?.keys() ?? []),
    '/metrics',
    '/openapi/v2',
    '/openapi/v3',
    '/version',
  ].sort();
}

function versionInfo() {
  const [major, minor] = facts().version.replace(/^v/, '').split('.');
  return {
    major,
    minor,
    emulationMajor: major,
    emulationMinor: minor,
    minCompatibilityMajor: major,
    minCompatibilityMinor: String(Number(minor) - 1),
    gitVersion: `v${facts().version.replace(/^v/, '')}+pintle`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: 'bun',
    platform: 'linux/amd64',
  };
}
