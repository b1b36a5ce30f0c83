import { type Namespace, namespaceKind } from '#api';
import { messageOf } from '#base';
import { cel } from '#sdk';
import type { AnyObject, JsonObject } from '../../contract.ts';
import type { Core } from '../../core.ts';
import {
  authorizerLibrary,
  authorizerType,
  authorizerValue,
  resourceCheckType,
  resourceCheckValue,
} from './authorizer-library.ts';
import type { Target } from './matching.ts';
import { jsonPatchName, patchLibrary, patchStructs } from './patch-types.ts';
import type { Shown } from './subject.ts';

const { celTypes: t } = cel;
type Type = cel.celTypes.Type;
type Value = cel.Value;

const object = (name: string, fields: Readonly<Record<string, Type>>): Type => ({
  k: 'object',
  name: `kubernetes.${name}`,
  fields: new Map(Object.entries(fields)),
});
const texts = t.list(t.string);
const kindType = object('GroupVersionKind', { group: t.string, version: t.string, kind: t.string });
const resourceType = object('GroupVersionResource', { group: t.string, version: t.string, resource: t.string });
const requestType = object('AdmissionRequest', {
  kind: kindType,
  resource: resourceType,
  subResource: t.string,
  requestKind: kindType,
  requestResource: resourceType,
  requestSubResource: t.string,
  name: t.string,
  namespace: t.string,
  operation: t.string,
  userInfo: object('UserInfo', {
    username: t.string,
    uid: t.string,
    groups: texts,
    extra: t.map(t.string, texts),
  }),
  dryRun: t.bool,
  options: t.dyn,
});
const namespaceType = object('Namespace', {
  metadata: object('NamespaceMetadata', {
    name: t.string,
    generateName: t.string,
    namespace: t.string,
    labels: t.map(t.string, t.string),
    annotations: t.map(t.string, t.string),
    UID: t.string,
    creationTimestamp: t.timestamp,
    deletionGracePeriodSeconds: t.int,
    deletionTimestamp: t.timestamp,
    generation: t.int,
    resourceVersion: t.string,
    finalizers: texts,
  }),
  spec: object('NamespaceSpec', { finalizers: texts }),
  status: object('NamespaceStatus', {
    conditions: t.list(
      object('NamespaceCondition', {
        status: t.string,
        type: t.string,
        lastTransitionTime: t.timestamp,
        message: t.string,
        reason: t.string,
      }),
    ),
    phase: t.string,
  }),
});

export interface Scope {
  readonly authorizer?: boolean;
  readonly params?: boolean;
  readonly namespace?: boolean;
  /** What is declared before an expression, by name. */
  readonly variables?: ReadonlyMap<string, Type>;
  /** Known types in place of dyn, for a check of types alone. */
  readonly object?: Type;
  readonly paramsType?: Type;
  /** Of mutations: what they are made of. */
  readonly patches?: boolean;
}
/** The place where admission's expressions stand. */
export function admissionEnvironment(scope: Scope) {
  const { variables } = scope;
  return cel.celEnvironment(
    {
      object: scope.object ?? t.dyn,
      oldObject: scope.object ?? t.dyn,
      request: requestType,
      namespaceObject: namespaceType,
      ...(scope.params && { params: scope.paramsType ?? t.dyn }),
      ...(variables && { variables: { k: 'object' as const, name: 'kubernetes.variables', fields: variables } }),
      ...(scope.patches && { jsonpatch: jsonPatchName.type }),
      ...(scope.authorizer && { authorizer: authorizerType, 'authorizer.requestResource': resourceCheckType }),
    },
    [...authorizerLibrary, ...(scope.patches ? patchLibrary : [])],
    scope.patches ? patchStructs : undefined,
  );
}

export interface Input {
  readonly shown: Shown;
  readonly target: Target;
  readonly object: Readonly<AnyObject> | undefined;
  readonly old: Readonly<AnyObject> | undefined;
  /** As a webhook would be told. */
  readonly request: JsonObject;
  readonly params?: Readonly<AnyObject> | null;
}
/** The values of all variables for one request. */
export function valuesOf(core: Core, input: Input, withNamespace = true): Record<string, Value> {
  const { shown } = input;
  const { user } = shown.request;
  const asker = { authorizer: core.options.authorizer, user };
  const { group, version, resource } = shown.target;
  return {
    jsonpatch: jsonPatchName.value,
    object: celValue(input.object ?? null),
    oldObject: celValue(input.old ?? null),
    request: celValue(input.request),
    params: celValue(input.params ?? null),
    namespaceObject: withNamespace ? namespaceValue(core, shown) : null,
    authorizer: authorizerValue(asker),
    'authorizer.requestResource': resourceCheckValue(asker, {
      group,
      version,
      resource,
      subresource: shown.subresource,
      namespace: shown.namespace,
      name: shown.name,
    }),
  };
}

function namespaceValue(core: Core, { namespace, target }: Shown): Value {
  if (!namespace || (target.group === '' && target.resource === 'namespaces')) return null;
  const found = core.reader.get(namespaceKind, '', namespace) as (Namespace & JsonObject) | undefined;
  if (!found) return null;
  const { metadata, spec, status } = found;
  const {
    uid,
    creationTimestamp,
    deletionTimestamp,
    managedFields: _fields,
    ownerReferences: _owners,
    ...rest
  } = metadata ?? {};
  const time = (text: string | undefined) =>
    text === undefined ? undefined : new cel.CelTimestamp(cel.parseTimestamp(text) ?? 0n);
  return defined({
    metadata: defined({
      ...(rest as JsonObject),
      UID: uid,
      creationTimestamp: time(creationTimestamp),
      deletionTimestamp: time(deletionTimestamp),
    }),
    spec: defined({ finalizers: spec?.finalizers }),
    status: defined({ phase: status?.phase }),
  });
}
const defined = (fields: Readonly<Record<string, unknown>>): Value =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Value;

/** JSON as expressions see it: numbers with a fraction are doubles. The same piece of memory where there are none. */
export function celValue(value: unknown): Value {
  if (typeof value === 'number') return Number.isInteger(value) ? value : new cel.CelDouble(value);
  if (typeof value !== 'object' || value === null) return value as Value;
  if (Array.isArray(value)) {
    const list = value.map(celValue);
    return list.some((one, index) => one !== value[index]) ? list : (value as Value);
  }
  let copy: Record<string, Value> | undefined;
  for (const [key, inner] of Object.entries(value)) {
    const made = inner === undefined ? undefined : celValue(inner);
    if (made === inner && inner !== undefined) continue;
    copy ??= { ...(value as Record<string, Value>) };
    if (made === undefined) delete copy[key];
    else copy[key] = made;
  }
  return copy ?? (value as Value);
}

/** What is wrong with an expression, as its configuration is told; undefined: nothing. `wanted`: names of types, none: any. */
export function expressionMistake(source: string, scope: Scope, wanted: readonly string[]): string | undefined {
  try {
    const { type } = admissionEnvironment(scope).compile(source);
    const found = cel.celTypes.typeText(type).replace(/^null$/, 'null_type');
    if (wanted.length === 0 || wanted.includes(found)) return undefined;
    return wanted.length === 1
      ? `must evaluate to ${wanted[0]} but got ${found}`
      : `must evaluate to one of [${wanted.join(' ')}] but got ${found}`;
  } catch (error) {
    return `compilation failed: ${messageOf(error)}`;
  }
}

/** Types of variables, each seeing those before it; one that does not compile is dyn. */
export function variableTypes(
  variables: readonly { readonly name: string; readonly expression: string }[],
  scope: Scope,
): Map<string, Type> {
  const types = new Map<string, Type>();
  for (const { name, expression } of variables) {
    let type: Type = t.dyn;
    try {
      ({ type } = admissionEnvironment({ ...scope, variables: types }).compile(expression));
    } catch {
      // said where the policy is checked
    }
    types.set(name, type);
  }
  return types;
}
