import { errors, type FieldError, isReason, nodeKind } from '#api';
import { CallError } from '#base';
import type { Client } from '#client';
import type { AdmissionRequest, AnyObject, ApiPart, Column, Strategy, UserInfo } from '#sdk';
import { KnownHooks, pluginAdmission } from './hooks/admission.ts';
import { PluginApis } from './hooks/apis.ts';
import type { AskPlugin } from './hooks/door.ts';
import { type PluginObject, type PluginSpec, pluginKind, pluginType } from './kind.ts';
import { isolations } from './manifest.ts';
import { NodePlugins, nodeWritesOwnEntry } from './node-rights.ts';
import { podRights } from './pod-rights.ts';

/** The kind Plugin, in the API server, and the hooks of those that run. Who installs must hold every right that the plugin gets. */
export const hostApiPart = (ask: AskPlugin, known = new KnownHooks(), placed = new NodePlugins()): ApiPart => ({
  name: 'plugin-host',
  async start({ kinds, schema, admit, client, reader, log, scope, kit }) {
    schema.define(pluginKind.type, pluginType);
    await kinds.add({ kind: pluginKind as never, strategy: pluginStrategy as never });
    admit({ name: 'PluginRights', validate: (request) => holdsRights(request, client) });
    admit(nodeWritesOwnEntry);
    admit(podRights({ kit, mayDo: (user, resource, verb) => mayDo(client, user, resource, verb) }));
    placed.labelsOf = (name) => reader.get(nodeKind, '', name)?.metadata.labels ?? undefined;
    const apis = new PluginApis({ kinds, kit, ask, log });
    reader.onChange?.(pluginKind, (next, previous) => {
      const name = (next ?? previous)!.metadata.name!;
      placed.set(name, next);
      known.set(name, next?.status?.hooks ?? []);
      apis.set(name, next?.status?.apis ?? []);
    });
    scope.defer(() => apis.settled());
    await apis.settled();
    admit(pluginAdmission(known, ask, kinds, schema));
  },
});
const nobody: AskPlugin = () => Promise.reject(new CallError('closed', 'this server has no way to a plugin host'));
export default hostApiPart(nobody);

type Needs = NonNullable<PluginSpec['approvedNeeds']>;
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const column = (name: string, value: Column<PluginObject>['value'], priority = 0): Column<PluginObject> => ({
  name,
  type: 'string',
  priority,
  description: name,
  value,
});

export const pluginStrategy: Strategy<PluginObject> = {
  kind: pluginKind,
  subresources: ['status'],
  prepareForCreate(draft) {
    delete draft.status;
    draft.metadata.generation = 1;
  },
  prepareForUpdate(next, current, { subresource }) {
    if (subresource === 'status') next.spec = current.spec;
    else if (current.status) next.status = current.status;
    else delete next.status;
    if (!Bun.deepEquals(next.spec, current.spec)) next.metadata.generation = (current.metadata.generation ?? 0) + 1;
  },
  validate: ({ metadata, spec }) => [...nameErrors(metadata.name ?? ''), ...specErrors(spec)],
  columns: [
    column('Name', ({ metadata }) => metadata.name ?? ''),
    column('Version', ({ status, spec }) => status?.activeVersion ?? spec?.version ?? ''),
    column('Phase', ({ status }) => status?.phase ?? 'Pending'),
    { ...column('Restarts', ({ status }) => status?.restarts ?? 0), type: 'integer' },
    column('Age', ({ metadata }, nowMs) => ageText(nowMs - Date.parse(metadata.creationTimestamp ?? ''))),
    column('Digest', ({ spec }) => spec?.digest.slice(0, 19) ?? '', 1),
  ],
};

/** As kubectl writes ages: `45s`, `5m`, `3h`, `12d`. */
function ageText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (!(seconds >= 0)) return '<unknown>';
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

const nameErrors = (name: string): FieldError[] =>
  /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)
    ? []
    : [invalid('metadata.name', name, 'must be lower-case letters, digits and hyphens')];

function specErrors(spec: unknown): FieldError[] {
  if (!isRecord(spec)) return [{ type: 'FieldValueRequired', field: 'spec', message: 'Required value' }];
  const found: FieldError[] = [];
  const check = (name: string, good: boolean, detail: string): void => {
    if (!good) found.push(invalid(`spec.${name}`, spec[name], detail));
  };
  const { digest, version, approvedNeeds, config, isolation, paused, dataPolicy, source } = spec;
  const { hookPriority, failClosed } = spec;
  check('hookPriority', hookPriority === undefined || Number.isInteger(hookPriority), 'must be a whole number');
  check('failClosed', failClosed === undefined || isTexts(failClosed), 'must list hooks as status.hooks names them');
  check(
    'digest',
    typeof digest === 'string' && /^sha256:[0-9a-f]{64}$/.test(digest),
    'must be sha256: and 64 hex digits',
  );
  check('version', typeof version === 'string' && /^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version), 'must be like 1.2.0');
  check('source', source === undefined || typeof source === 'string', 'must be text');
  check('nodes', isNodeChoice(spec['nodes']), 'must give names, a list of texts, or matchLabels, a map of texts');
  check('config', config === undefined || isRecord(config), 'must be an object');
  check('paused', paused === undefined || typeof paused === 'boolean', 'must be true or false');
  check(
    'isolation',
    isolation === undefined || (isolations as readonly unknown[]).includes(isolation),
    `must be one of ${isolations.join(', ')}`,
  );
  check(
    'dataPolicy',
    dataPolicy === undefined || dataPolicy === 'Keep' || dataPolicy === 'Delete',
    'must be Keep or Delete',
  );
  const lists = approvedNeeds === undefined ? [] : isRecord(approvedNeeds) ? Object.values(approvedNeeds) : [undefined];
  check(
    'approvedNeeds',
    lists.every((list) => Array.isArray(list) && list.every((verb) => typeof verb === 'string' && verb !== '*')),
    'must map resources to lists of verbs, none of them *',
  );
  return found;
}
const isNodeChoice = (value: unknown): boolean =>
  value === undefined ||
  (isRecord(value) &&
    Object.keys(value).every((key) => key === 'names' || key === 'matchLabels') &&
    (value['names'] === undefined || isTexts(value['names'])) &&
    (value['matchLabels'] === undefined ||
      (isRecord(value['matchLabels']) && isTexts(Object.values(value['matchLabels'])))));
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === 'string');
const invalid = (field: string, value: unknown, detail: string): FieldError => ({
  type: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${JSON.stringify(value ?? null)}: ${detail}`,
});

/** Rights that this write adds must be held by who writes it, unless he may `escalate` plugins. */
async function holdsRights(request: AdmissionRequest, client: Client): Promise<void> {
  const { kind, object, current, user, operation } = request;
  if (kind.type !== pluginKind.type || operation === 'DELETE' || !object) return;
  const wanted = needsOf(object);
  const former = current ? needsOf(current) : {};
  const added = Object.entries(wanted).flatMap(([resource, verbs]) =>
    verbs.filter((verb) => !former[resource]?.includes(verb)).map((verb) => ({ resource, verb })),
  );
  if (added.length === 0 || (await mayDo(client, user, 'plugins.plugins.pintle.dev', 'escalate'))) return;
  const lacking: string[] = [];
  for (const { resource, verb } of added)
    if (!(await mayDo(client, user, resource, verb))) lacking.push(`${verb} ${resource}`);
  if (lacking.length > 0)
    throw errors.forbidden(
      'plugins.plugins.pintle.dev',
      object.metadata.name ?? '',
      `user ${JSON.stringify(user.name)} would grant rights not held: ${lacking.join(', ')}`,
    );
}
/** What the object lets its plugin have: now, and when the host goes back to a version that it remembers. */
function needsOf(object: Readonly<AnyObject>): Needs {
  const { spec, status } = object as PluginObject;
  const { lastGood, previous, probation } = status ?? {};
  const needs: Record<string, readonly string[]> = {};
  for (const known of [spec, lastGood, previous, probation?.fallback])
    for (const [resource, verbs] of Object.entries(known?.approvedNeeds ?? {}))
      needs[resource] = [...new Set([...(needs[resource] ?? []), ...verbs])];
  return needs;
}

async function mayDo(client: Client, user: UserInfo, name: string, verb: string): Promise<boolean> {
  const dot = name.indexOf('.');
  const [resource, group] = dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)];
  try {
    const { status } = await client.request<{ status: { allowed: boolean } }>(
      'POST',
      '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user: user.name, groups: user.groups, uid: user.uid, resourceAttributes: { group, resource, verb } },
      },
    );
    return status.allowed;
  } catch (error) {
    if (isReason(error, 'NotFound')) return false;
    throw error;
  }
}
