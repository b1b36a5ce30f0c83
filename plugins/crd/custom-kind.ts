import type { Kind, KindConversion, KubeObject, ServedKind } from '#sdk';
import { columnsOf } from './columns.ts';
import { type CustomSchema, customSchema } from './custom-schema.ts';
import { customStrategy } from './custom-strategy.ts';
import { compilePath } from './json-path.ts';
import type { Definition, Version } from './kind.ts';

function kindOf({ spec, status }: Readonly<Definition>, version: string): Kind {
  const names = status?.acceptedNames?.plural ? status.acceptedNames : spec.names;
  const { kind, plural, singular, shortNames, categories } = names;
  return {
    group: spec.group,
    version,
    kind,
    plural,
    singular: singular || kind.toLowerCase(),
    namespaced: spec.scope === 'Namespaced',
    shortNames,
    categories,
    verbs,
    type: typeIdOf(spec.group, version, kind),
  };
}
/** In the order in which upstream lists them for custom resources. */
const verbs = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
/** As upstream names the types in its documents: `com.example.v1.Foo`. */
const typeIdOf = (group: string, version: string, kind: string): string =>
  [...group.split('.').reverse(), version, kind].join('.');

/** The kinds that an accepted definition serves: one for each version. */
export function servedKinds(
  definition: Readonly<Definition>,
  isEnding: () => boolean,
  conversion?: KindConversion,
): ServedKind[] {
  const { versions } = definition.spec;
  const storage = versions.find((version) => version.storage);
  const revision = `${definition.metadata.uid ?? ''}/${definition.metadata.generation ?? 0}`;
  const made = new Map<string, CustomSchema>();
  for (const version of versions) {
    const gvk = { group: definition.spec.group, version: version.name, kind: kindOf(definition, version.name).kind };
    made.set(version.name, customSchema(version, gvk, revision, made));
  }
  return versions
    .filter(({ served }) => served)
    .map((version) => {
      const plain = kindOf(definition, version.name);
      const kind =
        storage && storage.name !== version.name ? { ...plain, storedAs: kindOf(definition, storage.name) } : plain;
      const schema = made.get(version.name)!;
      return {
        kind,
        schema,
        ...(conversion ? { conversion } : {}),
        strategy: customStrategy({ kind, version: { ...version, schema: undefined }, schema, isEnding }),
        columns: columnsOf(version),
        ...scaleOf(version),
        ...(version.deprecated
          ? { deprecation: version.deprecationWarning ?? `${kind.group}/${version.name} ${kind.kind} is deprecated` }
          : {}),
      };
    });
}

function scaleOf({ subresources }: Version): Pick<ServedKind, 'scale'> {
  const scale = subresources?.scale;
  if (!scale) return {};
  const read = scale.labelSelectorPath ? compilePath(scale.labelSelectorPath) : undefined;
  const plain = (path: string) => path.replace(/^\./, '');
  const selector =
    read &&
    ((object: Readonly<KubeObject>) => {
      const value = read(object)[0];
      return typeof value === 'string' ? value : '';
    });
  return {
    scale: {
      specReplicas: plain(scale.specReplicasPath),
      statusReplicas: plain(scale.statusReplicasPath),
      ...(selector ? { selector } : {}),
    },
  };
}
