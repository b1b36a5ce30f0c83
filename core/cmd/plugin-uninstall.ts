import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Kind, KubeObject } from '#api';
import { PintleError, systemClock, timeText } from '#base';
import type { Client } from '#client';
import { type DefinitionObject, storageVersion } from '../host/crd-changes.ts';
import { pluginKind } from '../host/kind.ts';
import { kindOfDefinition } from '../host/preflight.ts';
import { definitionKind, ownerLabel } from '../host/provision.ts';
import { connect } from './connect.ts';
import { type Home, openHome } from './home.ts';
import type { PluginOptions } from './plugin.ts';
import { find } from './plugin-install.ts';
import { createProgress } from './progress.ts';

/** Finalizers have a minute. */
const goneMsMax = 120_000;
const pageMax = 500;

interface OwnKind {
  readonly definition: DefinitionObject;
  readonly kind: Kind<KubeObject>;
  readonly objects: readonly KubeObject[];
}

/** Its definitions and their objects stay, unless `--purge`: then they are counted, exported, and asked about by name. */
export async function uninstall(name: string, options: PluginOptions): Promise<void> {
  const home = openHome(options.home);
  const client = connect(home, home.read(), 'admin');
  await client.get(pluginKind, { name });
  if (options.purge) await purge(home, client, name, options);
  await createProgress().step(`removing ${name}`, async () => {
    await client.delete(pluginKind, { name });
    const endMs = systemClock.monotonicMs() + goneMsMax;
    while (await find(client, name)) {
      if (systemClock.monotonicMs() > endMs)
        throw new PintleError('PLUGIN_NOT_GONE', `${name} is still being removed`, './pintle logs controllers');
      await systemClock.sleep(50);
    }
  });
}

async function purge(home: Home, client: Client, name: string, options: PluginOptions): Promise<void> {
  const kinds = await ownKinds(client, name);
  const counts = kinds.map(({ definition, objects }) => `  ${definition.metadata.name}: ${objects.length} objects\n`);
  process.stderr.write(counts.length > 0 ? `These go with ${name}:\n${counts.join('')}` : `${name} has no kinds.\n`);
  if (kinds.length > 0) {
    const file = join('exports', `${name}-${timeText(systemClock.now()).replaceAll(':', '')}.yaml`);
    mkdirSync(home.path('exports'), { recursive: true, mode: 0o700 });
    home.writeFile(file, exportText(kinds));
    process.stderr.write(`exported to ${home.path(file)}\n`);
  }
  const isNamed = !options.yes && process.stdin.isTTY && prompt(`Type ${name} to remove all of it:`) === name;
  if (!options.yes && !isNamed)
    throw new PintleError('NOT_CONFIRMED', `${name} was not removed: nobody confirmed that its data goes`, 'add --yes');
  await client.patch(pluginKind, { name }, { type: 'merge', body: { spec: { dataPolicy: 'Delete' } } });
}

async function ownKinds(client: Client, name: string): Promise<OwnKind[]> {
  const { items } = await client.list(definitionKind, { labelSelector: `${ownerLabel}=${name}` });
  return Promise.all(
    (items as DefinitionObject[]).map(async (definition) => {
      const kind = kindOfDefinition(definition, storageVersion(definition)!.name);
      return { definition, kind, objects: await all(client, kind) };
    }),
  );
}
async function all(client: Client, kind: Kind<KubeObject>): Promise<KubeObject[]> {
  const objects: KubeObject[] = [];
  let next: string | undefined;
  do {
    const page = await client.list(kind, { limit: pageMax, ...(next ? { continue: next } : {}) });
    objects.push(...page.items);
    next = page.metadata?.continue || undefined;
  } while (next);
  return objects;
}

/** Definitions, then objects: what `kubectl apply -f` takes back. Pure. */
export function exportText(kinds: readonly Pick<OwnKind, 'definition' | 'kind' | 'objects'>[]): string {
  const plain = ({ metadata, ...rest }: KubeObject & { status?: unknown }): object => {
    const { name, namespace, labels, annotations } = metadata;
    return { ...rest, metadata: { name, namespace, labels, annotations } };
  };
  const documents = kinds.flatMap(({ definition, kind, objects }) => {
    const { status: _status, ...plainDefinition } = plain(definition) as { status?: unknown };
    const apiVersion = `${kind.group}/${kind.version}`;
    return [
      { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', ...plainDefinition },
      ...objects.map((object) => ({ apiVersion, kind: kind.kind, ...plain(object) })),
    ];
  });
  return documents.map((document) => `---\n${stringify(document)}`).join('');
}
