import {
  clusterRoleBindingKind,
  clusterRoleKind,
  isReason,
  type Kind,
  type KubeObject,
  namespaceKind,
  serviceAccountKind,
} from '#api';
import type { Clock } from '#base';
import type { Client } from '#client';
import { finalizerOf, schemas } from '#sdk';
import { type DefinitionObject, storageVersion } from './crd-changes.ts';
import type { PluginManifest } from './manifest.ts';
import { definitionStep, kindOfDefinition, unfitObjects } from './preflight.ts';
import { accountNamespace, identityOf, rulesOf } from './rbac.ts';
import { StepError } from './status.ts';

type Needs = Readonly<Record<string, readonly string[]>>;
const fieldManager = 'pintle-plugin-host';
export const ownerLabel = 'plugins.pintle.dev/plugin';
/** Which version of the plugin wrote the definition. */
const versionAnnotation = 'plugins.pintle.dev/version';
const establishedMsMax = 10_000;
const finalizeMsMax = 60_000;
export const definitionKind = schemas.definitionKind as Kind<KubeObject>;

/**
 * Account, role and binding, as approved: what is not approved any more goes. While a former version still acts, the
 * role keeps what that one has.
 */
export async function provisionIdentity(
  client: Client,
  manifest: Pick<PluginManifest, 'name' | 'resources' | 'needs'>,
  approved: Needs,
  former?: {
    readonly bundle: { readonly manifest: Pick<PluginManifest, 'resources' | 'needs'> };
    readonly approvedNeeds: Needs;
  },
): Promise<void> {
  const { namespace, account, role, binding } = identityOf(manifest, approved);
  if (former) role.rules = [...(role.rules ?? []), ...rulesOf(former.bundle.manifest, former.approvedNeeds)];
  const apply = <T>(kind: Kind<T>, object: T) => client.apply(kind, object, { fieldManager, force: true });
  await apply(namespaceKind, namespace);
  await apply(serviceAccountKind, account);
  await apply(clusterRoleKind, role);
  await apply(clusterRoleBindingKind, binding);
}

export async function removeIdentity(client: Client, name: string): Promise<void> {
  const gone = async (work: Promise<void>): Promise<void> => {
    await work.catch((error: unknown) => {
      if (!isReason(error, 'NotFound')) throw error;
    });
  };
  await gone(client.delete(clusterRoleBindingKind, { name: `pintle:plugin:${name}` }));
  await gone(client.delete(clusterRoleKind, { name: `pintle:plugin:${name}` }));
  await gone(client.delete(serviceAccountKind, { namespace: accountNamespace, name }));
}

/** Groups of the platform itself: nobody defines kinds there. */
const isForeign = (group: string): boolean =>
  !group.includes('.') || /(^|\.)(k8s\.io|kubernetes\.io|pintle\.dev)$/.test(group);

/**
 * The plugin's own kinds, established. A change that would break what is stored is refused before anything is written.
 * Throws StepError Resolved.
 */
export async function provisionKinds(
  client: Client,
  manifest: PluginManifest,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  for (const { group, kind } of manifest.apis ?? [])
    if (isForeign(group))
      throw new StepError('Resolved', 'ForeignGroup', `API ${kind}: the group ${group} is the platform's own`);
  const wanted: KubeObject[] = [];
  for (const definition of manifest.resources)
    if (await mayApply(client, manifest, definition as DefinitionObject)) wanted.push(definition);
  for (const definition of wanted) {
    const name = definition.metadata.name!;
    const { labels, annotations } = definition.metadata;
    const metadata = {
      ...definition.metadata,
      labels: { ...labels, [ownerLabel]: manifest.name },
      annotations: { ...annotations, [versionAnnotation]: manifest.version },
    };
    await client
      .apply(definitionKind, { ...definition, metadata }, { fieldManager, force: true })
      .catch((error: unknown) => {
        if (isReason(error, 'NotFound'))
          throw new StepError(
            'Resolved',
            'CustomResourcesNotServed',
            `this cluster serves no CustomResourceDefinitions, which ${name} is`,
            false,
          );
        throw error;
      });
  }
  const endMs = clock.monotonicMs() + establishedMsMax;
  for (const { metadata } of manifest.resources) {
    while (!(await isEstablished(client, metadata.name!))) {
      if (clock.monotonicMs() > endMs || signal.aborted)
        throw new StepError('Resolved', 'NotEstablished', `${metadata.name} was not established within 10 s`, false);
      await clock.sleep(50, signal);
    }
  }
}

/** False: the definition that is there does for this older version too. */
async function mayApply(client: Client, manifest: PluginManifest, definition: DefinitionObject): Promise<boolean> {
  const name = definition.metadata.name!;
  if (isForeign(definition.spec.group))
    throw new StepError(
      'Resolved',
      'ForeignGroup',
      `${name}: the group ${definition.spec.group} is the platform's own`,
    );
  const there = (await client.get(definitionKind, { name }).catch((error: unknown) => {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  })) as DefinitionObject | undefined;
  if (!there) return true;
  const owner = there.metadata.labels?.[ownerLabel];
  const isTakenOver = owner !== undefined && (manifest.replaces ?? []).includes(owner);
  if (owner !== manifest.name && !isTakenOver)
    throw new StepError('Resolved', 'KindTaken', `${name} belongs to ${owner ? `plugin ${owner}` : 'somebody else'}`);
  const writtenBy = there.metadata.annotations?.[versionAnnotation];
  const isDowngrade = !isTakenOver && writtenBy !== undefined && Bun.semver.order(manifest.version, writtenBy) < 0;
  const step = definitionStep(there, definition, isDowngrade);
  if (step.type === 'refuse')
    throw new StepError('Resolved', 'BreakingChange', `${name} would break what was made for it: ${step.why}`);
  if (step.type === 'keep') return false;
  const unfit = await unfitObjects(client, there, definition);
  if (unfit.length > 0)
    throw new StepError('Resolved', 'StoredObjectsUnfit', `${name} does not fit stored objects: ${unfit.join('; ')}`);
  return true;
}

async function isEstablished(client: Client, name: string): Promise<boolean> {
  const { status } = (await client.get(definitionKind, { name })) as KubeObject & {
    status?: { conditions?: { type: string; status: string }[] };
  };
  return status?.conditions?.some((one) => one.type === 'Established' && one.status === 'True') ?? false;
}

/** Its definitions go, and with them all objects. Those that its finalizers hold have 60 s, while it still runs. */
export async function removeKinds(
  client: Client,
  manifest: PluginManifest,
  { clock, signal, runs }: { readonly clock: Clock; readonly signal: AbortSignal; readonly runs: boolean },
): Promise<void> {
  const left = new Set(manifest.resources.map(({ metadata }) => metadata.name!));
  for (const name of left) await ignoring(client.delete(definitionKind, { name }));
  const endMs = clock.monotonicMs() + (runs ? finalizeMsMax : 0);
  while (left.size > 0 && !signal.aborted) {
    for (const name of left) if (!(await found(client.get(definitionKind, { name })))) left.delete(name);
    if (left.size === 0 || clock.monotonicMs() > endMs) break;
    await clock.sleep(100, signal);
  }
  for (const definition of manifest.resources)
    if (left.has(definition.metadata.name!)) await releaseAll(client, manifest.name, definition as DefinitionObject);
}

/**
 * Its data stays. Objects that are on their way out have 60 s to be finalized while it still runs; then nobody is left
 * who would, and every object is let go of: a later deletion must not wait for a plugin that is not there.
 */
export async function drainFinalizers(
  client: Client,
  manifest: PluginManifest,
  { clock, signal, runs }: { readonly clock: Clock; readonly signal: AbortSignal; readonly runs: boolean },
): Promise<void> {
  const endMs = clock.monotonicMs() + (runs ? finalizeMsMax : 0);
  const leaving = async (definition: DefinitionObject): Promise<boolean> => {
    const kind = kindOfDefinition(definition, storageVersion(definition)?.name ?? 'v1');
    const own = finalizerOf(manifest.name, kind);
    const { items } = (await found(client.list(kind))) ?? { items: [] };
    return items.some(({ metadata }) => metadata.deletionTimestamp && metadata.finalizers?.includes(own));
  };
  for (const definition of manifest.resources as readonly DefinitionObject[]) {
    while (!signal.aborted && clock.monotonicMs() < endMs && (await leaving(definition)))
      await clock.sleep(100, signal);
    if (signal.aborted) return;
  }
}
export async function releaseKept(client: Client, manifest: PluginManifest): Promise<void> {
  for (const definition of manifest.resources) await releaseAll(client, manifest.name, definition as DefinitionObject);
}

/** Nobody is left to finalize these. */
async function releaseAll(client: Client, plugin: string, definition: DefinitionObject): Promise<void> {
  const kind = kindOfDefinition(definition, storageVersion(definition)?.name ?? 'v1');
  const own = finalizerOf(plugin, kind);
  const { items } = (await found(client.list(kind))) ?? { items: [] };
  for (const { metadata } of items) {
    if (!metadata.finalizers?.includes(own)) continue;
    const finalizers = metadata.finalizers.filter((one) => one !== own);
    const key = { name: metadata.name!, namespace: metadata.namespace };
    const body = { metadata: { finalizers, resourceVersion: metadata.resourceVersion } };
    await ignoring(client.patch(kind, key, { type: 'merge', body }));
  }
}
const found = <T>(work: Promise<T>): Promise<T | undefined> =>
  work.catch((error: unknown) => {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  });
const ignoring = async (work: Promise<unknown>): Promise<void> => void (await found(work));

/** Tokens of a plugin's account, renewed at half their hour; with a node, they end when it does. */
export function accountTokens(
  client: Client,
  name: string,
  clock: Clock,
  node?: { readonly name: string; readonly uid: string },
): () => Promise<string> {
  const seconds = 3_600;
  let current: Promise<string> | undefined;
  let untilMs = 0;
  return () => {
    if (current && clock.monotonicMs() < untilMs) return current;
    untilMs = clock.monotonicMs() + (seconds * 1_000) / 2;
    const path = `/api/v1/namespaces/${accountNamespace}/serviceaccounts/${name}/token`;
    const asked = client
      .request<{ status: { token: string } }>('POST', path, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          expirationSeconds: seconds,
          ...(node ? { boundObjectRef: { apiVersion: 'v1', kind: 'Node', ...node } } : {}),
        },
      })
      .then(({ status }) => status.token);
    asked.catch(() => (untilMs = 0)); // the next request asks again
    current = asked;
    return asked;
  };
}
