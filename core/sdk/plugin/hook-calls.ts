import type { KubeObject } from '../../api/meta.ts';
import type { Advice } from '../scheduling.ts';
import type { UserInfo } from '../strategy.ts';
import type { AccessRequest } from './contributions.ts';
import type { CustomObject } from './crd.ts';
import { type HookedKind, resourceName, writtenVersion } from './hooked-kind.ts';
import type { Admitted } from './plugin.ts';
import { viewOf } from './resources.ts';
import { RefusalError, type RefusalFacts, type RestCall, type RestKind, type RestWatchCall, restName } from './rest.ts';
import { type RestWatches, refusalOf, type WatchBatch } from './rest-watches.ts';
import type { Contributions } from './start.ts';

/** What the host asks a plugin, by method, and what it answers. All of it is JSON. */
export interface HookCalls {
  /** Every refusal, empty: allowed. */
  validate: { asked: AdmissionCall; answer: readonly string[] };
  /** The parts that a hook may change. */
  mutate: { asked: AdmissionCall; answer: Pick<CustomObject, 'metadata' | 'spec'> };
  schedule: {
    asked: { rule: string; pod: KubeObject; nodes: readonly KubeObject[] };
    answer: Advice;
  };
  permit: { asked: { rule: string; pod: KubeObject; node: string }; answer: true | string };
  convert: { asked: { objects: readonly CustomObject[]; apiVersion: string }; answer: readonly CustomObject[] };
  rest: {
    /** `watch`: the name of a watch that begins or ends with this call. */
    asked: { kind: string; verb: string; call: RestCall; object?: KubeObject; watch?: string };
    answer: RestAnswer;
  };
  /** The next events of a watch; waits for them up to watchHoldMs. */
  watch: { asked: { watch: string }; answer: WatchBatch };
  authenticate: { asked: { authenticator: string; token: string }; answer: UserInfo | null };
  /** The reason of a denial. */
  authorize: { asked: { authorizer: string; request: AccessRequest }; answer: string | null };
}
export type HookMethod = keyof HookCalls;
export interface AdmissionCall {
  /** `plural.group`. */
  readonly resource: string;
  readonly operation: Admitted<unknown>['operation'];
  readonly object: CustomObject;
  readonly old?: CustomObject;
  readonly user: UserInfo;
  readonly dryRun: boolean;
}
export interface RestAnswer {
  readonly object?: KubeObject;
  readonly items?: readonly KubeObject[];
  /** Of a list. */
  readonly resourceVersion?: string;
  readonly refused?: RefusalFacts;
}

/** Answers the host's questions with what setup() registered. A throw is the answer's failure. */
export function answerHooks(
  contributions: Contributions,
  watches?: RestWatches,
): (method: string, body: unknown) => Promise<unknown> {
  const answers: { readonly [M in HookMethod]: (asked: HookCalls[M]['asked']) => Promise<HookCalls[M]['answer']> } = {
    validate: (asked) => validate(contributions, asked),
    mutate: (asked) => mutate(contributions, asked),
    schedule: (asked) => schedule(contributions, asked),
    permit: async ({ rule, pod, node }) =>
      (await ruleOf(contributions, rule).permit?.(viewOf(pod) as never, node)) ?? true,
    convert: async ({ objects, apiVersion }) => objects.map((object) => convert(contributions, object, apiVersion)),
    rest: (asked) => rest(contributions, watches, asked),
    watch: ({ watch }) => watches?.next(watch) ?? Promise.reject(new Error('it keeps no watches')),
    async authenticate({ authenticator, token }) {
      const one = contributions.authenticators.find(({ name }) => name === authenticator);
      return (await one?.authenticate(token)) ?? null;
    },
    async authorize({ authorizer, request }) {
      const one = contributions.authorizers.find(({ name }) => name === authorizer);
      return (await one?.deny(request)) || null;
    },
  };
  return async (method, body) => {
    const answer = Object.hasOwn(answers, method) ? answers[method as HookMethod] : undefined;
    if (!answer) throw new Error(`it has no answer to ${method}`);
    return answer(body as never);
  };
}

async function validate({ validators }: Contributions, asked: AdmissionCall): Promise<string[]> {
  const refusals: string[] = [];
  for (const { resource, judge, on } of validators) {
    if (resourceName(resource) !== asked.resource || !on.includes(asked.operation)) continue;
    const read = (object: CustomObject) => resource.read(inVersion(resource, object));
    const judged = await judge({
      operation: asked.operation,
      object: read(asked.object),
      ...(asked.old ? { old: read(asked.old) } : {}),
      user: asked.user,
      dryRun: asked.dryRun,
    } as never);
    if (judged !== true) refusals.push(judged === false ? '' : String(judged));
  }
  return refusals;
}

async function mutate({ mutators }: Contributions, asked: AdmissionCall): Promise<HookCalls['mutate']['answer']> {
  let draft = asked.object;
  for (const { resource, change } of mutators) {
    if (resourceName(resource) !== asked.resource) continue;
    const from = String(draft.apiVersion);
    draft = inVersion(resource, draft);
    const old = asked.old && inVersion(resource, asked.old);
    await change({ ...asked, object: draft, ...(old ? { old } : {}) } as never);
    if (from !== draft.apiVersion) draft = converted(resource, draft, from);
  }
  return { metadata: draft.metadata, spec: draft.spec };
}

/** A hook is written for one version; an object of another one is converted by the plugin's own function. */
const inVersion = (resource: HookedKind, object: CustomObject): CustomObject => {
  if (resource.asWritten) return object;
  const wanted = writtenVersion(resource);
  return object.apiVersion === undefined || object.apiVersion === wanted ? object : converted(resource, object, wanted);
};
function converted(resource: HookedKind, object: CustomObject, apiVersion: string): CustomObject {
  if (!resource.convert) return { ...object, apiVersion };
  const to = apiVersion.slice(apiVersion.indexOf('/') + 1);
  return { ...resource.convert(object, to), apiVersion, kind: object.kind };
}
function convert({ resources }: Contributions, object: CustomObject, apiVersion: string): CustomObject {
  const resource = resources.find(
    ({ kind }) =>
      kind.kind === object.kind &&
      apiVersion.startsWith(`${kind.group}/`) &&
      object.apiVersion?.startsWith(`${kind.group}/`),
  );
  if (!resource?.convert) throw new Error(`it converts no ${object.apiVersion} ${object.kind}`);
  return converted(resource, object, apiVersion);
}

function ruleOf({ scheduling }: Contributions, name: string) {
  const rule = scheduling.find((one) => one.name === name);
  if (!rule) throw new Error(`it has no scheduling rule ${name}`);
  return rule;
}
async function schedule(
  contributions: Contributions,
  { rule: name, pod, nodes }: HookCalls['schedule']['asked'],
): Promise<Advice> {
  const rule = ruleOf(contributions, name);
  const podView = viewOf(pod) as never;
  const nodeViews = nodes.map((node) => viewOf(node));
  const filter = await rule.filter?.(podView, nodeViews as never);
  const scores = await rule.score?.(podView, nodeViews as never);
  return {
    ...(filter ? { filter } : {}),
    ...(scores ? { scores } : {}),
    ...(rule.weight === undefined ? {} : { weight: rule.weight }),
    ...(rule.permit ? { permits: true } : {}),
  };
}

async function rest(
  { apis }: Contributions,
  watches: RestWatches | undefined,
  asked: HookCalls['rest']['asked'],
): Promise<RestAnswer> {
  const kind = apis.find((one) => restName(one) === asked.kind);
  if (!kind) throw new Error(`it serves no ${asked.kind}`);
  try {
    return await answerRest(kind, watches, asked);
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    return { refused: refusalOf(error) };
  }
}
async function answerRest(
  kind: RestKind,
  watches: RestWatches | undefined,
  { kind: name, verb, call, object, watch = '' }: HookCalls['rest']['asked'],
): Promise<RestAnswer> {
  const refuse = (): never => {
    throw new Error(`${name} has no ${verb}`);
  };
  switch (verb) {
    case 'get':
      return { object: kind.get ? await kind.get(call) : refuse() };
    case 'list': {
      const listed = kind.list ? await kind.list(call) : refuse();
      return 'items' in listed ? listed : { items: listed };
    }
    case 'watch':
      if (!watches) return refuse();
      watches.open(watch, kind, call as RestWatchCall);
      return {};
    case 'unwatch':
      watches?.close(watch);
      return {};
    case 'create':
      return { object: kind.create ? await kind.create(call, object!) : refuse() };
    case 'update':
      return { object: kind.update ? await kind.update(call, object!) : refuse() };
    case 'delete':
      await (kind.delete ? kind.delete(call) : refuse());
      return {};
    default:
      return refuse();
  }
}
