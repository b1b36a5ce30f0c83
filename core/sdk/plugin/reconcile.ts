import { apiVersionOf, type Kind, type KubeObject, keyOf, keyText } from '#api';
import type { ControllerSpec, ReconcileContext } from '../reconciler.ts';
import { TerminalError } from '../reconciler.ts';
import type { CustomObject, CustomResource, CustomView } from './crd.ts';
import { Deadlines } from './deadline.ts';
import { type Again, type Delay, type ReconcileOptions, type ReconcileTools, RetryError } from './plugin.ts';
import { viewOf } from './resources.ts';
import { parseDuration } from './schema.ts';

/** What holds an object of a plugin's kind until its `finalize` has returned. */
export const finalizerOf = (plugin: string, { group }: Pick<Kind, 'group'>): string => `${plugin}.${group}/finalize`;

type Tools = ReconcileTools<Record<string, readonly string[]>, string, unknown>;
type Run = (object: CustomView<unknown, unknown>, tools: Tools, context: ReconcileContext) => Promise<Again | void>;
const ownerIndex = 'controller-uid';
const retryMsMax = 60_000;
export const delayMs = (delay: Delay): number => (typeof delay === 'number' ? delay : parseDuration(delay).ms);

/** A plugin's reconcile as a controller: the sugar stands on the same contract that core controllers use. */
export function controllerOf(
  name: string,
  resource: CustomResource,
  options: ReconcileOptions<string, unknown, unknown>,
  run: Run,
  kindOf: (name: string) => Kind<KubeObject>,
  deadlines: Deadlines = new Deadlines(),
): ControllerSpec<CustomObject> {
  const owned = (options.owns ?? []).map((each) => [each, kindOf(each)] as const);
  const finalizer = finalizerOf(name, resource.kind);
  const controller = `${name}-${resource.kind.plural}`;
  return {
    name: controller,
    retryMsMax,
    watches: resource.kind,
    owns: owned.map(([, kind]) => kind as Kind<unknown>),
    workersMax: options.workersMax,
    reconciler: {
      async reconcile(key, current, outer) {
        const name = `${controller} ${keyText(key)}`;
        if (!current) return deadlines.forget(name);
        try {
          return await deadlines.run(name, outer.clock, outer.signal, async (signal) => {
            const context = { ...outer, signal };
            if (options.finalize && (await finalize(current, resource, options.finalize, finalizer, context))) return;
            if (current.metadata.deletionTimestamp) return;
            const again = await run(resource.read(current), toolsOf(current, resource, owned, context), context);
            return again ? { requeueAfterMs: again.againInMs } : undefined;
          });
        } catch (error) {
          if (error instanceof RetryError && error.delay !== undefined) {
            outer.log.info('will try again', { why: error.message, delay: String(error.delay) });
            return { requeueAfterMs: delayMs(error.delay) };
          }
          throw error;
        }
      },
    },
  };
}

function toolsOf(
  owner: Readonly<CustomObject>,
  resource: CustomResource,
  owned: readonly (readonly [string, Kind<KubeObject>])[],
  context: ReconcileContext,
): Tools {
  const kinds = new Map(owned);
  const { client } = context;
  const tools = {
    get owned() {
      return Object.fromEntries(
        owned.map(([name, kind]) => [name, childrenOf(kind, owner.metadata.uid, context).map(viewOf)]),
      );
    },
    async child(name: string, object: Partial<KubeObject>) {
      const kind = kinds.get(name)!;
      const { metadata } = object;
      const reference = ownerOf(resource.kind, owner.metadata);
      const draft = {
        ...object,
        apiVersion: apiVersionOf(kind),
        kind: kind.kind,
        metadata: {
          ...metadata,
          namespace: owner.metadata.namespace,
          ...(metadata?.name ? {} : { generateName: `${owner.metadata.name}-` }),
          ownerReferences: [...(metadata?.ownerReferences ?? []), reference],
        },
      };
      return viewOf(await client.create(kind, draft as KubeObject));
    },
    async status(status: unknown) {
      const next = JSON.parse(JSON.stringify(resource.writeStatus(status))) as unknown;
      if (Bun.deepEquals(next, owner.status)) return;
      await client.patch(
        resource.kind,
        keyOf(owner),
        { type: 'merge', body: { status: withRemovals(next, owner.status) as Record<string, unknown> } },
        { subresource: 'status' },
      );
    },
    again: (delay: Delay): Again => ({ againInMs: delayMs(delay) }),
    signal: context.signal,
  };
  return tools as unknown as Tools;
}

/** What an object controls of a kind, newest first; without what is on its way out. */
export function childrenOf(
  kind: Kind<KubeObject>,
  ownerUid: string | undefined,
  { informers }: ReconcileContext,
): Readonly<KubeObject>[] {
  const informer = informers.informer(kind);
  informer.addIndex(ownerIndex, controllerUids);
  return informer.cache
    .byIndex(ownerIndex, ownerUid ?? '')
    .filter(({ metadata }) => !metadata.deletionTimestamp)
    .sort(newestFirst);
}
export const ownerOf = (kind: Kind<unknown>, { name, uid }: { readonly name?: string; readonly uid?: string }) => ({
  apiVersion: apiVersionOf(kind),
  kind: kind.kind,
  name: name!,
  uid: uid!,
  controller: true,
  blockOwnerDeletion: true,
});

/** Fields that went are named as null, which is how a merge patch takes them away. Pure. */
function withRemovals(next: unknown, former: unknown): unknown {
  if (!isRecord(next) || !isRecord(former)) return next;
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(former)) if (!(key in next)) result[key] = null;
  for (const [key, value] of Object.entries(next)) result[key] = withRemovals(value, former[key]);
  return result;
}
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** True when the object is on its way out: nothing else is to be done with it. */
async function finalize(
  current: Readonly<CustomObject>,
  resource: CustomResource,
  work: NonNullable<ReconcileOptions<string, unknown, unknown>['finalize']>,
  finalizer: string,
  { client, signal }: ReconcileContext,
): Promise<boolean> {
  const finalizers = current.metadata.finalizers ?? [];
  const held = finalizers.includes(finalizer);
  const write = (next: readonly string[]) =>
    client.patch(resource.kind, keyOf(current), {
      type: 'merge',
      body: { metadata: { finalizers: next, resourceVersion: current.metadata.resourceVersion } },
    });
  if (!current.metadata.deletionTimestamp) {
    if (!held) await write([...finalizers, finalizer]);
    return false;
  }
  if (!held) return true;
  await work(resource.read(current), { signal });
  await write(finalizers.filter((one) => one !== finalizer));
  return true;
}

const controllerUids = (object: Readonly<KubeObject>): string[] =>
  (object.metadata.ownerReferences ?? []).filter(({ controller }) => controller).map(({ uid }) => uid);
const newestFirst = (a: Readonly<KubeObject>, b: Readonly<KubeObject>): number =>
  (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '') ||
  (b.metadata.name ?? '').localeCompare(a.metadata.name ?? '');

export const fatal = (why: string): TerminalError => new TerminalError(why);
