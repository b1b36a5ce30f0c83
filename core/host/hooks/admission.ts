import { errors, StatusError } from '#api';
import { messageOf } from '#base';
import {
  type AdmissionCall,
  type AdmissionHook,
  type AdmissionRequest,
  type AnyObject,
  isUnhookedGroup,
  type KindRegistry,
  type SchemaEngine,
  unhookedKinds,
} from '#sdk';
import type { HookStatus } from '../kind.ts';
import type { AskPlugin } from './door.ts';
import { splitHookName } from './points.ts';

/** One attached hook, as the API server knows it from the plugin's status. */
export interface KnownHook {
  readonly plugin: string;
  readonly hook: string;
  readonly priority: number;
  readonly fails: boolean;
}
/** Namespaces and groups whose objects no plugin's hook sees: a hook that is down must never stop the platform itself. */
const systemNamespaces = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'pintle-plugins']);
const systemKinds = new Set<string>(unhookedKinds);
export const isSystem = ({ group, plural }: { group: string; plural: string }, namespace: string): boolean =>
  isUnhookedGroup(group) ||
  (group === '' && systemKinds.has(plural)) ||
  (!group.includes('.') && systemNamespaces.has(namespace));

/** Which hooks there are, by point and target: `validate crontasks.cron.example.com`. */
export class KnownHooks {
  readonly #byPlugin = new Map<string, readonly KnownHook[]>();
  #byName = new Map<string, readonly KnownHook[]>();
  #byPoint = new Map<string, readonly KnownHook[]>();

  set(plugin: string, hooks: readonly HookStatus[]): void {
    const known = hooks.map(({ name, priority, failurePolicy }): KnownHook => {
      return { plugin, hook: name, priority, fails: failurePolicy === 'Fail' };
    });
    if (known.length === 0) this.#byPlugin.delete(plugin);
    else this.#byPlugin.set(plugin, known);
    const all = [...this.#byPlugin.values()].flat();
    all.sort((a, b) => a.priority - b.priority || (a.plugin < b.plugin ? -1 : 1));
    this.#byName = Map.groupBy(all, ({ hook }) => hook);
    this.#byPoint = Map.groupBy(all, ({ hook }) => splitHookName(hook).point);
  }
  /** In the order of their calls. */
  find(name: string): readonly KnownHook[] {
    return this.#byName.get(name) ?? none;
  }
  /** Of one point, such as every authenticator. */
  ofPoint(point: string): readonly KnownHook[] {
    return this.#byPoint.get(point) ?? none;
  }
  get isEmpty(): boolean {
    return this.#byPlugin.size === 0;
  }
}
const none: readonly KnownHook[] = [];

/** Calls the hooks that are attached for what is written. Mutating ones by priority and name, then once more those whose work others changed. */
export function pluginAdmission(
  known: KnownHooks,
  ask: AskPlugin,
  kinds: KindRegistry,
  schema?: SchemaEngine,
): AdmissionHook {
  const take = taking(kinds, schema);
  const targetOf = (request: AdmissionRequest): string | undefined => {
    const { kind, subresource, namespace, operation } = request;
    if (known.isEmpty || subresource || operation === 'CONNECT' || isSystem(kind, namespace)) return undefined;
    return kind.group ? `${kind.plural}.${kind.group}` : kind.plural;
  };
  return {
    name: 'plugin-hooks',
    mutate(request) {
      const target = targetOf(request);
      if (target === undefined || !request.object || request.operation === 'DELETE' || isLeaving(request)) return;
      const hooks = known.find(`mutate ${target}`);
      return hooks.length > 0 ? mutateAll(hooks, request, target, ask, take) : undefined;
    },
    validate(request) {
      const target = targetOf(request);
      if (target === undefined || isLeaving(request)) return;
      const hooks = known.find(`${request.operation === 'DELETE' ? 'delete' : 'validate'} ${target}`);
      return hooks.length > 0 ? validateAll(hooks, request, target, ask) : undefined;
    },
  };
}
/** What is being deleted loses its finalizers and goes: nobody may hold that up. */
const isLeaving = ({ operation, current }: AdmissionRequest): boolean =>
  operation !== 'CREATE' && current?.metadata.deletionTimestamp !== undefined;

const callOf = (request: AdmissionRequest, resource: string): AdmissionCall => ({
  resource,
  operation: request.operation as AdmissionCall['operation'],
  object: (request.object ?? request.current) as AdmissionCall['object'],
  ...(request.object && request.current ? { old: request.current as AdmissionCall['object'] } : {}),
  user: request.user,
  dryRun: request.dryRun,
});

async function mutateAll(
  hooks: readonly KnownHook[],
  request: AdmissionRequest,
  target: string,
  ask: AskPlugin,
  take: ReturnType<typeof taking>,
): Promise<void> {
  const object = request.object!;
  const leftBy = new Map<KnownHook, string>();
  const run = async (hook: KnownHook): Promise<void> => {
    const answer = await answered(hook, request, () => ask(hook.plugin, hook.hook, 'mutate', callOf(request, target)));
    if (answer !== undefined) take(object, answer, request, hook);
    leftBy.set(hook, JSON.stringify(object));
  };
  for (const hook of hooks) await run(hook);
  if (hooks.length < 2) return;
  for (const hook of hooks) if (leftBy.get(hook) !== JSON.stringify(object)) await run(hook);
}

/** Spec, labels, annotations and finalizers are a hook's to change; all else of its answer is not looked at. */
const taking =
  (kinds: KindRegistry, schema: SchemaEngine | undefined) =>
  (object: AnyObject, answer: unknown, { kind }: AdmissionRequest, hook: KnownHook): void => {
    const { metadata, spec } = partsOf(answer, hook);
    if (spec !== undefined) object['spec'] = spec;
    for (const field of ['labels', 'annotations', 'finalizers'] as const) {
      if (metadata[field] === undefined) delete object.metadata[field];
      else object.metadata[field] = metadata[field] as never;
    }
    const served = kinds
      .all()
      .find(
        (one) => one.kind.group === kind.group && one.kind.version === kind.version && one.kind.plural === kind.plural,
      );
    served?.schema?.prune(object);
    served?.schema?.applyDefaults(object);
    if (served?.schema || !schema?.has(kind.type)) return;
    const { errors: mistakes } = schema.decode(kind.type, object);
    if (mistakes.length > 0) throw failed(hook, `it answered with what is no ${kind.kind}: ${mistakes[0]!.field}`);
    schema.default(kind.type, object);
  };

/** Throws on what is no object's. */
function partsOf(answer: unknown, hook: KnownHook) {
  const { metadata, spec } = (answer ?? {}) as { metadata?: unknown; spec?: unknown };
  const isRecord = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isRecord(metadata) || (spec !== undefined && !isRecord(spec)))
    throw failed(hook, 'it answered with what is no object');
  const texts = (value: unknown): boolean =>
    value === undefined || (isRecord(value) && Object.values(value).every((one) => typeof one === 'string'));
  const { labels, annotations, finalizers } = metadata;
  const isList =
    finalizers === undefined || (Array.isArray(finalizers) && finalizers.every((one) => typeof one === 'string'));
  if (!texts(labels) || !texts(annotations) || !isList)
    throw failed(hook, 'it answered with labels, annotations or finalizers that are no texts');
  return { metadata, spec };
}

async function validateAll(
  hooks: readonly KnownHook[],
  request: AdmissionRequest,
  target: string,
  ask: AskPlugin,
): Promise<void> {
  const call = callOf(request, target);
  const outcomes = await Promise.allSettled(
    hooks.map(async (hook) => {
      const refusals = await answered(hook, request, () => ask(hook.plugin, hook.hook, 'validate', call));
      if (refusals === undefined) return;
      if (!Array.isArray(refusals)) throw failed(hook, 'it answered with what is no list');
      if (refusals.length > 0) throw denied(hook.plugin, refusals.map(String).filter(Boolean).join('; '));
    }),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** undefined: there was no answer, and the request goes on without. */
async function answered<T>(hook: KnownHook, request: AdmissionRequest, ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (hook.fails) throw failed(hook, messageOf(error));
    request.warn(`plugin ${hook.plugin} was not asked: ${messageOf(error).slice(0, 200)}`);
    return undefined;
  }
}

const explanationMax = 2_048;
export const denied = (plugin: string, why: string): StatusError => {
  const by = `admission plugin ${JSON.stringify(plugin)} denied the request`;
  return new StatusError(
    403,
    'Forbidden',
    why ? `${by}: ${why.slice(0, explanationMax)}` : `${by} without explanation`,
  );
};
const failed = ({ plugin }: KnownHook, why: string): StatusError =>
  errors.internal(`failed calling plugin ${JSON.stringify(plugin)}: ${why.slice(0, explanationMax)}`);
