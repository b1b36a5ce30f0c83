import { errors, type PodTemplateSpec } from '#api';
import type { AdmissionHook, AdmissionRequest, AnyObject, StrategyKit } from '#sdk';
import { accountNamespace, podGrant } from './rbac.ts';

export interface PodRightsOptions {
  readonly kit: Pick<StrategyKit, 'podViolations'>;
  /** Whether this account may, by its role. */
  mayDo(user: AdmissionRequest['user'], resource: string, verb: string): Promise<boolean>;
}

/**
 * A right to make pods is one to have the kubelet do something. What a plugin's account writes, pods and whatever holds a
 * template of pods, is held to the baseline level, to the default account and to secrets that it may read itself; more
 * needs `pods: privileged`, a dangerous right. Controllers that make pods of it do so in their own name: the template counts.
 */
export const podRights = ({ kit, mayDo }: PodRightsOptions): AdmissionHook => ({
  name: 'PluginPods',
  async validate({ user, operation, kind, subresource, object, current, name }) {
    const plugin = pluginOf(user.name);
    if (plugin === undefined || operation === 'DELETE' || subresource || !object) return;
    const found = beyond(object, current, kit);
    if (found.length === 0 || (await mayDo(user, 'pods', podGrant))) return;
    const readsOnly = found.every((one) => one === secretsWords);
    if (readsOnly && (await mayDo(user, 'secrets', 'get'))) return;
    const resource = kind.group ? `${kind.plural}.${kind.group}` : kind.plural;
    const why = `what plugin ${plugin} makes is held to baseline: ${found.join(', ')}; more needs pods: ${podGrant}, approved`;
    throw errors.forbidden(resource, name || (object.metadata.name ?? ''), why);
  },
});

const accountPrefix = `system:serviceaccount:${accountNamespace}:`;
const pluginOf = (user: string): string | undefined =>
  user.startsWith(accountPrefix) ? user.slice(accountPrefix.length) : undefined;
const secretsWords = 'secrets that it may not read';

/** What an object asks of its pods beyond what it asked before. Pure. */
function beyond(
  object: Readonly<AnyObject>,
  current: Readonly<AnyObject> | undefined,
  kit: PodRightsOptions['kit'],
): string[] {
  const template = templateOf(object);
  const former = current && templateOf(current);
  if (!template || (former && Bun.deepEquals(template, former))) return [];
  const before = new Set(former ? asksOf(former, kit) : []);
  return asksOf(template, kit).filter((one) => !before.has(one));
}

interface Holder {
  readonly spec?: {
    readonly template?: unknown;
    readonly jobTemplate?: { readonly spec?: { readonly template?: unknown } };
  };
  readonly template?: unknown;
}
/** A pod is its own template; others hold one in one of three places, kinds of others too. Pure. */
export function templateOf(object: Readonly<AnyObject>): PodTemplateSpec | undefined {
  if (object.kind === 'Pod' && object.apiVersion === 'v1') return object as unknown as PodTemplateSpec;
  const { spec, template } = object as Holder;
  const found = [spec?.template, spec?.jobTemplate?.spec?.template, template];
  return found.find((one): one is PodTemplateSpec => {
    const containers = (one as PodTemplateSpec | null | undefined)?.spec?.containers;
    return Array.isArray(containers);
  });
}

function asksOf(template: PodTemplateSpec, kit: PodRightsOptions['kit']): string[] {
  const { spec } = template;
  const account = spec?.serviceAccountName ?? 'default';
  return [
    ...kit.podViolations(template),
    ...(account === '' || account === 'default' ? [] : [`account ${JSON.stringify(account)}`]),
    ...(namesSecret([spec?.volumes, spec?.containers, spec?.initContainers]) ? [secretsWords] : []),
  ];
}
const secretKeys = new Set(['secret', 'secretName', 'secretRef', 'secretKeyRef', 'nodePublishSecretRef']);
const namesSecret = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (Array.isArray(value)
    ? value.some(namesSecret)
    : Object.entries(value).some(([key, one]) => (secretKeys.has(key) && one != null) || namesSecret(one)));
