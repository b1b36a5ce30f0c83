import { apiVersionOf, type Kind, type KubeObject, keyOf } from '#api';
import { isReason } from '../../api/index.ts';
import type { ControllerSpec, ReconcileContext } from '../reconciler.ts';
import type { CustomObject, CustomResource, CustomView } from './crd.ts';
import { Deadlines } from './deadline.ts';
import type { SyncResult } from './plugin.ts';
import { childrenOf, controllerOf, ownerOf } from './reconcile.ts';
import { viewOf } from './resources.ts';

export type Decide = (
  object: CustomView<unknown, unknown>,
  owned: Readonly<Record<string, readonly unknown[]>>,
  at: { readonly nowMs: number },
) => SyncResult<string, unknown>;
type Child = KubeObject & { readonly metadata: { readonly name: string } };
const lastMax = 10_000;

/**
 * The pure form as a controller: what decide() wants is applied under the plugin's name, children that it no longer wants
 * are deleted, the status is written. What was applied and has not changed since is not applied again.
 */
export function syncControllerOf(
  name: string,
  resource: CustomResource,
  owns: readonly string[],
  decide: Decide,
  kindOf: (name: string) => Kind<KubeObject>,
  deadlines: Deadlines = new Deadlines(),
): ControllerSpec<CustomObject> {
  const kinds = owns.map((each) => [each, kindOf(each)] as const);
  const applied = new Map<string, { readonly text: string; readonly version: string | undefined }>();
  return controllerOf(
    name,
    resource,
    { owns },
    async (object, tools, context) => {
      const owner = ownerOf(resource.kind, object.metadata);
      const live = new Map(kinds.map(([each, kind]) => [each, childrenOf(kind, object.metadata.uid, context)]));
      const owned = Object.fromEntries([...live].map(([each, children]) => [each, children.map(viewOf)]));
      const wanted = decide(object, owned, { nowMs: context.clock.now() });
      for (const [each, kind] of kinds) {
        const children = (wanted.children?.[each] ?? []) as readonly Child[];
        const complete = children.map((child) => ({
          ...child,
          apiVersion: apiVersionOf(kind),
          kind: kind.kind,
          metadata: { ...child.metadata, namespace: object.metadata.namespace || undefined, ownerReferences: [owner] },
        }));
        for (const child of complete) await apply(kind, child, live.get(each)!, { name, applied, context });
        await forget(kind, children, live.get(each)!, context);
      }
      if (wanted.status !== undefined) await tools.status(wanted.status);
      return wanted.again === undefined ? undefined : tools.again(wanted.again);
    },
    kindOf,
    deadlines,
  );
}

async function apply(
  kind: Kind<KubeObject>,
  child: KubeObject,
  live: readonly Readonly<KubeObject>[],
  {
    name,
    applied,
    context,
  }: {
    readonly name: string;
    readonly applied: Map<string, { readonly text: string; readonly version: string | undefined }>;
    readonly context: ReconcileContext;
  },
): Promise<void> {
  const place = `${kind.type} ${child.metadata.namespace} ${child.metadata.name}`;
  const text = JSON.stringify(child);
  const there = live.find(({ metadata }) => metadata.name === child.metadata.name);
  const last = applied.get(place);
  if (there && last?.text === text && last.version === there.metadata.resourceVersion) return;
  const other = there ? undefined : context.informers.informer(kind).cache.get(keyOf(child));
  if (other)
    throw new Error(
      `${kind.plural} ${child.metadata.name} ${other.metadata.deletionTimestamp ? 'is on its way out' : 'is there already and belongs to somebody else'}`,
    );
  const made = await context.client.apply(kind, child, { fieldManager: name, force: true });
  if (applied.size >= lastMax) applied.clear(); // it is only what saves writes
  applied.set(place, { text, version: made.metadata.resourceVersion });
}

async function forget(
  kind: Kind<KubeObject>,
  wanted: readonly Child[],
  live: readonly Readonly<KubeObject>[],
  { client }: ReconcileContext,
): Promise<void> {
  const names = new Set(wanted.map(({ metadata }) => metadata.name));
  for (const child of live) {
    if (names.has(child.metadata.name!)) continue;
    await client.delete(kind, keyOf(child), { preconditions: { uid: child.metadata.uid } }).catch((error: unknown) => {
      if (!isReason(error, 'NotFound', 'Conflict')) throw error; // gone, or another life under that name
    });
  }
}
