import {
  isReason,
  type KubeObject,
  keyOf,
  type Namespace,
  type NamespaceCondition,
  namespaceKind,
  type Pod,
  pathOf,
  podKind,
} from '#api';
import { messageOf, timeText } from '#base';
import type { Client } from '#client';
import type { ControllerSpec, ReconcileContext } from '#sdk';
import { type Discovered, discoverKinds } from './discovery.ts';

const againMs = 1_000;
/** Collections emptied at once. */
const lanes = 8;

/** Empties a namespace that is being deleted - pods first, then everything else - and lets go of it when nothing is left. */
export const namespaceController: ControllerSpec<Namespace & KubeObject> = {
  name: 'namespace-controller',
  watches: namespaceKind,
  // The end of the last pod is what the rest waits for; everything else that remains is looked at again and again.
  alsoOn: [
    {
      kind: podKind,
      keys({ metadata }: Readonly<Pod & KubeObject>, informers) {
        const name = metadata.namespace!;
        if (!informers.informer(namespaceKind).cache.get({ name })?.metadata?.deletionTimestamp) return [];
        return informers.informer(podKind).cache.list(name).length === 0 ? [{ name }] : [];
      },
    },
  ],
  reconciler: {
    async reconcile(key, namespace, context) {
      if (!namespace?.metadata.deletionTimestamp || !namespace.spec?.finalizers?.includes('kubernetes')) return;
      const left = await empty(key.name, context);
      const status = {
        ...namespace.status,
        phase: 'Terminating',
        conditions: conditionsOf(namespace, left, context.clock.now()),
      };
      if (!sameConditions(namespace.status?.conditions, status.conditions))
        await context.client.update(namespaceKind, { ...namespace, status }, { subresource: 'status' });
      if (left.remaining.size > 0 || left.failures.length > 0) return { requeueAfterMs: againMs };
      const live = await context.client.get(namespaceKind, key);
      if (live.metadata.uid !== namespace.metadata.uid) return;
      const finalizers = (live.spec?.finalizers ?? []).filter((name) => name !== 'kubernetes');
      await context.client.update(
        namespaceKind,
        { ...live, spec: { ...live.spec, finalizers } },
        { subresource: 'finalize' },
      );
    },
  },
};

type DeletableKind = Discovered['kinds'][number];
interface Left {
  /** Resource → how many are still there. */
  readonly remaining: Map<string, number>;
  readonly finalizers: Map<string, number>;
  readonly failures: string[];
  readonly discoveryFailures: string[];
}

async function empty(namespace: string, { client }: ReconcileContext): Promise<Left> {
  const left: Left = { remaining: new Map(), finalizers: new Map(), failures: [], discoveryFailures: [] };
  const { kinds, failures } = await discoverKinds(client);
  for (const { groupVersion, error } of failures) left.discoveryFailures.push(`${groupVersion}: ${messageOf(error)}`);
  left.failures.push(...left.discoveryFailures);
  const mine = kinds.filter((kind) => kind.namespaced && kind.verbs.includes('delete') && kind.verbs.includes('list'));
  const isPod = (kind: DeletableKind) => kind.group === '' && kind.plural === 'pods';
  const clear = async (kind: DeletableKind) => {
    const name = `${kind.plural}.${kind.group}`; // `pods.` for the core group, as upstream says it
    try {
      await removeAll(client, kind, namespace);
      const after = (await client.list(kind, { namespace })).items;
      if (after.length > 0) left.remaining.set(name, after.length);
      for (const { metadata } of after)
        for (const finalizer of metadata.finalizers ?? [])
          left.finalizers.set(finalizer, (left.finalizers.get(finalizer) ?? 0) + 1);
    } catch (error) {
      left.failures.push(`${name}: ${messageOf(error)}`);
    }
  };
  for (const kind of mine.filter(isPod)) await clear(kind);
  // A pod that ends may still need what it mounts and whom it runs as.
  if (left.remaining.has('pods.')) return left;
  const rest = mine.filter((other) => !isPod(other));
  const lane = async () => {
    for (let kind = rest.shift(); kind; kind = rest.shift()) await clear(kind);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return left;
}

/** As one request where the kind can: that also removes what a list does not show, because it cannot be read. */
async function removeAll(client: Client, kind: DeletableKind, namespace: string): Promise<void> {
  const propagationPolicy = 'Background';
  if (kind.verbs.includes('deletecollection')) {
    await client.request('DELETE', pathOf(kind, namespace), { propagationPolicy });
    return;
  }
  for (const object of (await client.list(kind, { namespace })).items) {
    if (object.metadata.deletionTimestamp) continue;
    try {
      await client.delete(kind, keyOf(object), { propagationPolicy });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  }
}

function conditionsOf(namespace: Readonly<Namespace>, left: Left, nowMs: number): NamespaceCondition[] {
  const counts = (map: ReadonlyMap<string, number>, what: string) =>
    [...map]
      .sort()
      .map(([name, count]) => `${name} ${what} ${count} resource instances`)
      .join(', ');
  const make = (type: string, isBad: boolean, reason: string, bad: string, goodReason: string, good: string) => {
    const before = namespace.status?.conditions?.find((condition) => condition.type === type);
    const status = isBad ? 'True' : 'False';
    const lastTransitionTime = before?.status === status ? before.lastTransitionTime : timeText(nowMs);
    return { type, status, lastTransitionTime, reason: isBad ? reason : goodReason, message: isBad ? bad : good };
  };
  const contents = left.failures.filter((failure) => !left.discoveryFailures.includes(failure));
  return [
    make(
      'NamespaceDeletionDiscoveryFailure',
      left.discoveryFailures.length > 0,
      'DiscoveryFailed',
      `Discovery failed for some groups, ${left.discoveryFailures.length} failing: ${left.discoveryFailures.join(', ')}`,
      'ResourcesDiscovered',
      'All resources successfully discovered',
    ),
    make(
      'NamespaceDeletionGroupVersionParsingFailure',
      false,
      'GroupVersionParsingFailed',
      '',
      'ParsedGroupVersions',
      'All legacy kube types successfully parsed',
    ),
    make(
      'NamespaceDeletionContentFailure',
      contents.length > 0,
      'ContentDeletionFailed',
      `Failed to delete all resource types, ${contents.length} remaining: ${contents.join(', ')}`,
      'ContentDeleted',
      'All content successfully deleted, may be waiting on finalization',
    ),
    make(
      'NamespaceContentRemaining',
      left.remaining.size > 0,
      'SomeResourcesRemain',
      `Some resources are remaining: ${counts(left.remaining, 'has')}`,
      'ContentRemoved',
      'All content successfully removed',
    ),
    make(
      'NamespaceFinalizersRemaining',
      left.finalizers.size > 0,
      'SomeFinalizersRemain',
      `Some content in the namespace has finalizers remaining: ${counts(left.finalizers, 'in')}`,
      'ContentHasNoFinalizers',
      'All content-preserving finalizers finished',
    ),
  ];
}
const sameConditions = (
  left: readonly NamespaceCondition[] | undefined,
  right: readonly NamespaceCondition[],
): boolean =>
  right.every((next) => {
    const before = left?.find((condition) => condition.type === next.type);
    return before?.status === next.status && before.message === next.message && before.reason === next.reason;
  });
