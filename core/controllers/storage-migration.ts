import {
  compareVersions,
  isReason,
  type Kind,
  type KubeObject,
  type ResourceVersion,
  StatusError,
  storageVersionMigrationKind,
} from '#api';
import { messageOf } from '#base';
import type { Client } from '#client';
import { type ControllerSpec, type ReconcileContext, schemas } from '#sdk';
import { discoverKinds } from './discovery.ts';
import {
  failed,
  finished,
  isTrue,
  type Migration,
  planMigration,
  resourceOf,
  running,
  started,
  succeeded,
  withCondition,
} from './plan-storage-migration.ts';

const neededVerbs = ['update', 'patch', 'list'];
const pageObjects = 500;
const attemptsMax = 5;
/** A custom resource may be younger than what discovery tells. */
const discoveryGraceMs = 60_000;
const retryMs = 2_000;

/**
 * Writes every object of a resource once more, unchanged, so that it is stored in the version of today; then the definition of a
 * custom resource forgets the versions that nothing is stored in any more. Stopped at any point it goes on where it was: what was
 * written since carries a version beyond status.resourceVersion.
 */
export const storageMigrationController: ControllerSpec<Migration> = {
  name: 'storage-version-migrator-controller',
  watches: storageVersionMigrationKind as Kind<Migration>,
  workersMax: 1,
  alsoOn: [
    {
      kind: storageVersionMigrationKind as Kind<Migration>,
      // One that ends lets the next of its resource begin.
      keys: (changed: Migration, caches) =>
        caches
          .informer(storageVersionMigrationKind as Kind<Migration>)
          .cache.list()
          .filter((other) => resourceOf(other) === resourceOf(changed))
          .map((other) => ({ name: other.metadata.name! })),
    },
  ],
  reconciler: {
    async reconcile(_key, current, context) {
      if (!current || current.metadata.deletionTimestamp) return;
      const all = context.informers.informer(storageVersionMigrationKind as Kind<Migration>).cache.list();
      switch (planMigration(current, all)) {
        case 'start':
          await markDefinition(context, current, 'running');
          await save(context, withCondition(current, started, now(context)));
          return;
        case 'run':
          return run(context, current);
        case 'finish':
          await markDefinition(context, current, isTrue(current, 'Succeeded') ? 'succeeded' : 'failed');
          await save(context, withCondition(current, finished, now(context)));
          return;
        case 'wait':
        case 'none':
          return;
      }
    },
  },
};

const now = ({ clock }: ReconcileContext): string => `${new Date(clock.now()).toISOString().slice(0, 19)}Z`;
const save = async ({ client }: ReconcileContext, migration: Migration): Promise<void> => {
  await client.update(storageVersionMigrationKind as Kind<Migration>, migration, { subresource: 'status' });
};

async function run(context: ReconcileContext, migration: Readonly<Migration>) {
  const { client, clock } = context;
  const { kinds } = await discoverKinds(client);
  const kind = kinds.find((one) => `${one.plural}.${one.group}` === resourceOf(migration));
  const fail = (message: string) => save(context, withCondition(migration, failed(message), now(context)));
  if (!kind) {
    const bornMs = Date.parse(migration.metadata.creationTimestamp ?? '');
    if (clock.now() - bornMs < discoveryGraceMs) return { requeueAfterMs: retryMs };
    return void (await fail('resource does not exist in discovery'));
  }
  const resource = `${kind.group}/${kind.version}, Resource=${kind.plural}`;
  if (!neededVerbs.every((verb) => kind.verbs.includes(verb)))
    return void (await fail(
      `resource "${resource}" does not support discovery operations: [${neededVerbs.join(' ')}]`,
    ));
  const checkpoint = migration.status?.resourceVersion;
  if (checkpoint) return rewrite(context, migration, kind, checkpoint);
  const { metadata } = await client.list(kind, { limit: 1 });
  const resourceVersion = metadata?.resourceVersion ?? '';
  return void (await save(context, { ...migration, status: { ...migration.status, resourceVersion } }));
}

/** A patch that says nothing but which state it means: the server stores the same object again, in today's version. */
async function rewrite(
  context: ReconcileContext,
  migration: Readonly<Migration>,
  kind: Kind<KubeObject>,
  checkpoint: string,
): Promise<void> {
  const { client, signal } = context;
  const objects = await all(client, kind);
  const waiting = objects.filter(({ version }) => compareVersions(version, checkpoint as ResourceVersion) <= 0);
  let left = waiting.length;
  const tell = (...conditions: Parameters<typeof withCondition>[1][]) =>
    save(
      context,
      conditions.reduce<Migration>((next, one) => withCondition(next, one, now(context)), migration),
    );
  for (const { namespace, name, version } of waiting) {
    signal.throwIfAborted();
    const body = {
      apiVersion: kind.group ? `${kind.group}/${kind.version}` : kind.version,
      kind: kind.kind,
      metadata: { resourceVersion: version },
    };
    try {
      const options = { fieldManager: storageMigrationController.name };
      await client.patch(kind, { namespace, name }, { type: 'merge', body }, options);
    } catch (error) {
      if (!isReason(error, 'Conflict') && !isReason(error, 'NotFound')) {
        const why = messageOf(error);
        if (isTransient(error)) {
          await tell(running(left, objects.length, why));
          throw error;
        }
        const message = `${left}/${objects.length} not yet migrated. migration encountered unhandled error: ${why}`;
        return tell(running(left, objects.length), failed(message));
      }
      // Somebody wrote it since, or it is gone: both are as good.
    }
    left--;
  }
  await tell(running(left, objects.length), succeeded);
}
const isTransient = (error: unknown): boolean =>
  error instanceof StatusError && (error.code >= 500 || error.code === 429);

interface Stored {
  readonly namespace: string | undefined;
  readonly name: string;
  readonly version: ResourceVersion;
}
/** Only what names an object is kept: there may be many, and large ones. */
async function all(client: Client, kind: Kind<KubeObject>): Promise<Stored[]> {
  const found: Stored[] = [];
  let next: string | undefined;
  do {
    const page = await client.list(kind, { limit: pageObjects, ...(next ? { continue: next } : {}) });
    for (const { metadata } of page.items)
      found.push({
        namespace: metadata.namespace,
        name: metadata.name!,
        version: metadata.resourceVersion as ResourceVersion,
      });
    next = page.metadata?.continue || undefined;
  } while (next);
  return found;
}

interface Definition extends KubeObject {
  readonly spec: { readonly versions: readonly { readonly name: string; readonly storage: boolean }[] };
  readonly status?: {
    readonly storedVersions?: readonly string[];
    readonly conditions?: readonly (Record<string, unknown> & { readonly type: string })[];
  };
}
const definitionKind = schemas.definitionKind as unknown as Kind<Definition>;

async function markDefinition(
  context: ReconcileContext,
  migration: Readonly<Migration>,
  state: 'running' | 'succeeded' | 'failed',
): Promise<void> {
  const { client } = context;
  for (let attempt = 1; ; attempt++) {
    try {
      const definition = await client.get(definitionKind, { name: resourceOf(migration) });
      const status = statusOf(definition, migration.metadata.name!, state, now(context));
      await client.update(definitionKind, { ...definition, status }, { subresource: 'status' });
      return;
    } catch (error) {
      if (isReason(error, 'NotFound')) return; // a built-in kind
      if (!isReason(error, 'Conflict') || attempt >= attemptsMax) throw error;
    }
  }
}

/** Stored versions are forgotten only when the definition is the one that the migration began with. Pure. */
export function statusOf(
  { metadata, spec, status }: Readonly<Definition>,
  migration: string,
  state: 'running' | 'succeeded' | 'failed',
  time: string,
): NonNullable<Definition['status']> {
  const type = 'StorageMigrating';
  const former = status?.conditions?.find((condition) => condition.type === type);
  const isSame = former?.['observedGeneration'] === metadata.generation;
  const success = isSame
    ? 'The migration has succeeded and the stored versions have been updated'
    : 'The migration has succeeded but the stored versions have not been updated due to a generation mismatch';
  const told = {
    running: { status: 'True', reason: 'MigrationRunning', message: `Migration ${migration} is running` },
    succeeded: { status: 'False', reason: 'MigrationSucceeded', message: success },
    failed: { status: 'False', reason: 'MigrationFailed', message: 'The migration has failed' },
  }[state];
  const condition = { type, ...told, lastTransitionTime: time, observedGeneration: metadata.generation };
  const conditions = [...(status?.conditions ?? []).filter((one) => one.type !== type), condition];
  const storage = spec.versions.find((version) => version.storage)?.name;
  // Unlike upstream, which forgets them after a failure too: objects are still stored in them.
  const forgets = state === 'succeeded' && isSame && storage !== undefined;
  return { ...status, conditions, ...(forgets ? { storedVersions: [storage] } : {}) };
}
