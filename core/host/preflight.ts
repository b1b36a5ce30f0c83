import type { Kind, KubeObject } from '#api';
import type { Client } from '#client';
import { schemas } from '#sdk';
import { breakingChanges, type DefinitionObject, schemaOf, storageVersion } from './crd-changes.ts';

const pageMax = 500;
const namedMax = 5;

/** What an older definition and a newer one mean for each other. */
export type Step =
  | { readonly type: 'apply' }
  | { readonly type: 'keep' }
  | { readonly type: 'refuse'; readonly why: string };

/**
 * Whether a definition that is there may become `next`. Going back to an older version of the plugin, the newer
 * definition stays when it holds all that the older one asks for: nothing that was stored meanwhile gets lost. Pure.
 */
export function definitionStep(there: DefinitionObject, next: DefinitionObject, isDowngrade: boolean): Step {
  const changes = breakingChanges(there, next);
  if (changes.length === 0) return { type: 'apply' };
  if (isDowngrade && breakingChanges(next, there, []).length === 0) return { type: 'keep' };
  const more = changes.length > namedMax ? ` and ${changes.length - namedMax} more` : '';
  return { type: 'refuse', why: `${changes.slice(0, namedMax).join('; ')}${more}` };
}

/** Every stored object held against the schema it would have: the first few that do not fit, each with its reason. */
export async function unfitObjects(client: Client, there: DefinitionObject, next: DefinitionObject): Promise<string[]> {
  const version = storageVersion(there);
  if (!version?.served && version !== undefined) return []; // nobody can read them by the API, this host neither
  const target = next.spec.versions.find(({ name }) => name === version?.name) ?? storageVersion(next);
  if (!version || Bun.deepEquals(schemaOf(version), schemaOf(target))) return [];
  const schema = schemas.compileSchema(structuredClone(schemaOf(target)) as Record<string, unknown>);
  const found: string[] = [];
  let token: string | undefined;
  do {
    const page = await client.list(kindOfDefinition(there, version.name), { limit: pageMax, continue: token });
    for (const object of page.items) {
      const draft = structuredClone(object) as KubeObject & Record<string, unknown>;
      schemas.applyDefaults(schema, draft);
      const mistakes = [
        ...schemas.validateValue(schema, draft),
        ...schemas.checkRules(schema, draft, schemas.uncorrelated).mistakes,
      ];
      const [mistake] = mistakes;
      if (!mistake) continue;
      const { namespace, name } = object.metadata;
      found.push(`${namespace ? `${namespace}/` : ''}${name}: ${mistake.field}: ${mistake.message}`);
      if (found.length >= namedMax) return found;
    }
    token = page.metadata?.continue || undefined;
  } while (token !== undefined);
  return found;
}

export const kindOfDefinition = ({ spec }: DefinitionObject, version: string): Kind<KubeObject> => ({
  group: spec.group,
  version,
  kind: spec.names.kind,
  plural: spec.names.plural,
  singular: spec.names.kind.toLowerCase(),
  namespaced: spec.scope !== 'Cluster',
  type: `${spec.group}/${version}.${spec.names.kind}`,
});
