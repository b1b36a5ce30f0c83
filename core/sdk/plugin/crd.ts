import type { Kind, KubeObject } from '../../api/meta.ts';
import { type View, viewOf } from './resources.ts';
import type { AnySchema, InputOf, JsonSchema, JsonValue, Schema, TypeOf } from './schema.ts';

/** An object of a custom kind as it is stored. */
export type CustomObject = KubeObject & { spec?: unknown; status?: unknown };
/** A custom object as its plugin reads it: spec and status through their schemas. */
export type CustomView<Spec, Status> = View<KubeObject> & { readonly spec: Spec; readonly status?: Status };

type Part = Schema<never, never> | Schema<unknown, unknown>;
export interface CustomResourceOptions<S, St> {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
  /** Default: the kind in lower case with an s. */
  readonly plural?: string;
  readonly scope?: 'Namespaced' | 'Cluster';
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly spec: S;
  /** Served as a subresource of its own when given. */
  readonly status?: St;
  /** What `kubectl get` prints: heading → path, its type taken from the schema. */
  readonly columns?: Readonly<Record<string, string>>;
  /** `kubectl scale`. */
  readonly scale?: { readonly specReplicas: string; readonly statusReplicas: string; readonly selector?: string };
  /** Paths that `--field-selector` may use. */
  readonly selectable?: readonly string[];
  /** Other versions that are served, or were stored once, by name; `version` is the one that is stored. They need `convert`. */
  readonly otherVersions?: Readonly<Record<string, OtherVersion>>;
  /** The same object in another version, such as `v1`. Pure, within 5 ms; metadata stays but for labels and annotations. */
  readonly convert?: (object: Readonly<CustomObject>, to: string) => CustomObject;
}
export interface OtherVersion {
  readonly spec: AnySchema;
  readonly status?: AnySchema;
  /** Default true. */
  readonly served?: boolean;
  readonly deprecated?: boolean;
}
export interface CustomResource<Spec = unknown, Status = unknown, SpecInput = unknown> {
  readonly kind: Kind<CustomObject>;
  /** The CustomResourceDefinition. */
  readonly manifest: KubeObject;
  read(object: Readonly<CustomObject>): CustomView<Spec, Status>;
  writeStatus(status: Status): unknown;
  readonly convert?: (object: Readonly<CustomObject>, to: string) => CustomObject;
  readonly __input?: SpecInput;
}

/** A custom kind: its type, its validation, its columns and its definition from one place. Throws on names that cannot be. */
export function crd<S extends { read(json: unknown): unknown }, St extends { read(json: unknown): unknown } = never>(
  options: CustomResourceOptions<S, St>,
): CustomResource<TypeOf<S>, TypeOf<St>, InputOf<S>> {
  const spec = options.spec as unknown as Part;
  const status = options.status as unknown as Part | undefined;
  const kind = kindOf(options);
  if (options.otherVersions && !options.convert)
    throw new Error(`crd: ${kind.kind} has other versions and no convert() between them`);
  return {
    kind,
    manifest: definitionOf(options, kind, spec, status),
    ...(options.convert ? { convert: options.convert } : {}),
    read: (object) =>
      ({
        ...object,
        metadata: viewMetadata(object),
        spec: spec.read(object.spec),
        ...(status && object.status !== undefined ? { status: status.read(object.status) } : {}),
      }) as unknown as CustomView<TypeOf<S>, TypeOf<St>>,
    writeStatus: (value) => (status ? status.write(value as never) : value),
  };
}

const viewMetadata = (object: Readonly<KubeObject>) => viewOf(object).metadata;
const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

function kindOf(
  options: Pick<
    CustomResourceOptions<never, never>,
    'group' | 'kind' | 'version' | 'plural' | 'scope' | 'shortNames' | 'categories'
  >,
): Kind<CustomObject> {
  const { group, kind, version } = options;
  const plural = options.plural ?? `${kind.toLowerCase()}s`;
  if (!/^[A-Z][A-Za-z0-9]*$/.test(kind)) throw new Error(`crd: the kind "${kind}" must be written LikeThis`);
  if (!group.includes('.') || !group.split('.').every((part) => dnsLabel.test(part)))
    throw new Error(`crd: the group "${group}" must be a domain of yours, such as cron.example.com`);
  if (!/^v\d+((alpha|beta)\d+)?$/.test(version))
    throw new Error(`crd: the version "${version}" must be like v1, v1beta2 or v1alpha1`);
  if (!dnsLabel.test(plural)) throw new Error(`crd: the plural "${plural}" must be lower-case letters and digits`);
  return {
    group,
    version,
    kind,
    plural,
    singular: kind.toLowerCase(),
    namespaced: options.scope !== 'Cluster',
    shortNames: options.shortNames,
    categories: options.categories,
    type: `${group}/${version}.${kind}`,
  };
}

function definitionOf(
  options: Omit<CustomResourceOptions<unknown, unknown>, 'spec' | 'status'>,
  kind: Kind<CustomObject>,
  spec: Part,
  status: Part | undefined,
): KubeObject {
  const schema = schemaOf(spec, status);
  const version = {
    name: kind.version,
    served: true,
    storage: true,
    schema: { openAPIV3Schema: schema },
    subresources: {
      ...(status ? { status: {} } : {}),
      ...(options.scale
        ? {
            scale: {
              specReplicasPath: options.scale.specReplicas,
              statusReplicasPath: options.scale.statusReplicas,
              ...(options.scale.selector ? { labelSelectorPath: options.scale.selector } : {}),
            },
          }
        : {}),
    },
    additionalPrinterColumns: Object.entries(options.columns ?? {}).map(([name, jsonPath]) => ({
      name,
      jsonPath,
      type: columnType(schema, jsonPath),
    })),
    ...(options.selectable ? { selectableFields: options.selectable.map((jsonPath) => ({ jsonPath })) } : {}),
  };
  const { plural, singular, shortNames, categories } = kind;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${kind.group}` },
    spec: {
      group: kind.group,
      scope: kind.namespaced ? 'Namespaced' : 'Cluster',
      names: { kind: kind.kind, listKind: `${kind.kind}List`, plural, singular, shortNames, categories },
      versions: [version, ...otherVersions(options.otherVersions ?? {})],
    },
  } as KubeObject;
}

const schemaOf = (spec: { json: JsonSchema }, status: { json: JsonSchema } | undefined): JsonSchema => ({
  type: 'object',
  properties: {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object' },
    spec: spec.json,
    ...(status ? { status: status.json } : {}),
  },
  required: ['spec'],
});
const otherVersions = (versions: Readonly<Record<string, OtherVersion>>) =>
  Object.entries(versions).map(([name, { spec, status, served = true, deprecated = false }]) => ({
    name,
    served,
    storage: false,
    ...(deprecated ? { deprecated } : {}),
    schema: { openAPIV3Schema: schemaOf(spec, status) },
    subresources: status ? { status: {} } : {},
  }));

/** Pure; `date` makes kubectl print an age. Throws when the path leads nowhere. */
function columnType(schema: JsonSchema, path: string): string {
  let at: JsonValue | undefined = schema;
  for (const part of path.replace(/^\./, '').split(/[.[]/))
    if (part !== 'metadata' && !path.startsWith('.metadata')) {
      const here = at as JsonSchema | undefined;
      at = ((here?.['properties'] as JsonSchema | undefined)?.[part] ??
        here?.['additionalProperties'] ??
        here?.['items']) as JsonValue | undefined;
    }
  if (path.startsWith('.metadata')) return /Timestamp$/.test(path) ? 'date' : 'string';
  if (at === undefined) throw new Error(`crd: the column path ${path} leads to no field of the schema`);
  const { type, format } = at as { type?: string; format?: string };
  if (format === 'date-time') return 'date';
  return type === 'integer' || type === 'number' || type === 'boolean' ? type : 'string';
}
