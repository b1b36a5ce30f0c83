import { errors, podKind } from '#api';
import type { UserInfo } from '#sdk';
import { admitConnection } from './admit-connection.ts';
import { answerBytes, errorAnswer } from './answer.ts';
import { authenticate, authorize } from './authorize.ts';
import { arrivals, drain, mediaTypeOf } from './body.ts';
import { BodyBudget, budgets } from './body-budget.ts';
import type { AnyKind, RequestInfo, StreamContext } from './contract.ts';
import type { Call, Core } from './core.ts';
import { negotiate } from './negotiate.ts';
import { answerPath } from './paths.ts';
import { parseRequestInfo } from './request-info.ts';
import { placeOf } from './request-url.ts';
import { answerReview, isReview } from './reviews.ts';
import { subresourceHandler } from './subresources/index.ts';
import { create } from './verbs/create.ts';
import { remove } from './verbs/delete.ts';
import { removeCollection } from './verbs/delete-collection.ts';
import { get } from './verbs/get.ts';
import { list } from './verbs/list.ts';
import { patch } from './verbs/patch.ts';
import { update } from './verbs/update.ts';
import { watch } from './verbs/watch.ts';
import { virtualHandler } from './virtual-kinds.ts';
import { checkWriteOptions } from './write-options.ts';

const verbs: Readonly<Record<string, (call: Call) => Promise<Response | undefined>>> = {
  get,
  list,
  watch,
  create,
  update,
  patch,
  delete: remove,
  deletecollection: removeCollection,
};
/** How long a body that is not wanted may take to arrive before its answer goes out. */
const drainMsMax = 3_000;

export type Upgrade = StreamContext['upgrade'];

/** From a request to its answer: parse, authenticate, authorise, route. Undefined only after an upgrade. */
export function createHandler(core: Core): (request: Request, upgrade: Upgrade) => Promise<Response | undefined> {
  const { clock, metrics } = core;
  const budget = new BodyBudget();
  return async (request, upgrade) => {
    const began = clock.monotonicMs();
    let info: RequestInfo | undefined;
    let response: Response | undefined;
    if (request.body) budgets.set(request, budget);
    try {
      info = parseRequestInfo(request.method, placeOf(request));
      response = await route(core, request, info, upgrade);
    } catch (error) {
      response = await errorAnswer(error, core, request, `${info?.verb ?? request.method} ${info?.path ?? ''}`);
    } finally {
      budget.release(request);
    }
    if (response && request.body && !request.bodyUsed) {
      const stop = new AbortController();
      await Promise.race([drain(request).catch(() => {}), clock.sleep(drainMsMax, stop.signal)]);
      stop.abort();
    }
    // Whoever asked to leave HTTP on this connection may send anything on it now: it must not be read as a request (CVE-2018-1002105).
    if (response && request.headers.has('upgrade')) response.headers.set('connection', 'close');
    if (info)
      metrics.answered(info, response?.status ?? 101, clock.monotonicMs() - began, response && answerBytes(response));
    return response;
  };
}
async function route(core: Core, request: Request, info: RequestInfo, upgrade: Upgrade): Promise<Response | undefined> {
  const user = await authenticate(core, request);
  await authorize(core, user, info);
  const remote = core.aggregator?.find(info);
  if (!info.isResource && !remote) return answerPath(core, request, info, { user, upgrade });
  if (info.group === '' && info.subresource && core.options.streams?.[`${info.resource}/${info.subresource}`]) {
    arrivals.get(request)?.done(); // its body is a stream of its own
    await admitConnection(core, request, info, user);
    return stream(core, request, info, user, upgrade);
  }
  const { inFlight } = core.metrics;
  const lane = inFlight[request.method === 'GET' || request.method === 'HEAD' ? 'read' : 'write'];
  const leave = lane.enter(user.name);
  if (!leave) throw errors.tooManyRequests('Too many requests, please try again later.', 1);
  try {
    if (remote) return await core.aggregator?.answer(remote, request, user);
    return await answerResource(core, request, info, user, upgrade);
  } finally {
    leave();
  }
}

async function answerResource(
  core: Core,
  request: Request,
  info: RequestInfo,
  user: UserInfo,
  upgrade: Upgrade,
): Promise<Response | undefined> {
  const review = isReview(info) ? await answerReview(core, request, info, user) : undefined;
  if (review) return review;
  const served = core.kinds.find(info.group, info.version, info.resource);
  // Virtual kinds have no objects of their own; their handlers look at pods at most.
  const resources = served && core.cache.cacheOf(served.kind.virtual ? (podKind as AnyKind) : served.kind);
  const strayNamespace = served && !served.kind.namespaced && info.namespace && info.resource !== 'namespaces';
  if (!served || !resources || strayNamespace || info.rest) {
    throw errors.noSuchPath();
  }
  const call: Call = {
    core,
    request,
    info,
    user,
    served,
    resources,
    wanted: negotiate(request, info.query, {
      protobuf: !served.schema && core.encodings.has(served.kind),
      verb: info.verb,
    }),
    nowMs: core.clock.now(),
    dryRun: info.query.getAll('dryRun').some(Boolean),
    warnings: new Set(),
    upgrade,
  };
  const deprecation = served.deprecation ?? deprecations[`${info.group}/${info.version}/${info.resource}`];
  if (deprecation) {
    call.warnings.add(deprecation);
    core.metrics.deprecated(info);
  }
  const whole = served.kind.virtual ? virtualHandler(call) : verbs[info.verb];
  const handler = info.subresource ? subresourceHandler(call) : whole;
  if (
    !handler ||
    ((info.verb === 'update' || info.verb === 'patch') && !info.name) ||
    (info.verb === 'create' && info.name && !info.subresource) ||
    (info.verb === 'deletecollection' && info.resource === 'namespaces')
  ) {
    throw errors.methodNotAllowed('the server does not allow this method on the requested resource');
  }
  if (info.verb === 'create' || info.verb === 'update' || info.verb === 'patch')
    checkWriteOptions(info.verb, info.query, mediaTypeOf(request));
  if (core.store.shared && !namesVersion(info)) await core.cache.fresh();
  const response = await handler(call);
  return response && warned(call, response);
}

/** Reads that ask for a version take what the caches hold once they have reached it; all else sees every write before it. */
const namesVersion = ({ verb, query }: RequestInfo): boolean =>
  (verb === 'get' || verb === 'list' || verb === 'watch') &&
  Boolean(query.get('resourceVersion') || query.get('continue'));

/** Said with every answer for a kind that upstream calls deprecated. */
const deprecations: Readonly<Record<string, string>> = {
  '/v1/endpoints': 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
  '/v1/componentstatuses': 'v1 ComponentStatus is deprecated in v1.19+',
};
function warned(call: Call, response: Response): Response {
  for (const text of call.warnings)
    response.headers.append('warning', `299 - ${JSON.stringify(text.replace(/[^\x20-\x7e]/g, ' '))}`);
  return response;
}

function stream(
  core: Core,
  request: Request,
  info: RequestInfo,
  user: UserInfo,
  upgrade: Upgrade,
): Promise<Response | undefined> {
  const { clock, random, log, reader } = core;
  const handler = core.options.streams![`${info.resource}/${info.subresource}`]!;
  return handler(request, info, { user, reader, clock, random, log, upgrade });
}
