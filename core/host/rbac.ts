import type { ClusterRole, ClusterRoleBinding, KubeObject, Namespace, PolicyRule, ServiceAccount } from '#api';
import { type HookVerb, isHookVerb, networkNeed } from '#sdk';
import type { PluginManifest } from './manifest.ts';

export const accountNamespace = 'pintle-plugins';
/** The verb on pods without which what a plugin makes stays within `baseline`. */
export const podGrant = 'privileged';
type Needs = Readonly<Record<string, readonly string[]>>;
const splitName = (resource: string): { group: string; plural: string } => {
  const dot = resource.indexOf('.');
  return dot < 0 ? { group: '', plural: resource } : { group: resource.slice(dot + 1), plural: resource.slice(0, dot) };
};

/** The rules of a plugin's role: what was approved of its needs, its own kinds, events. Pure. */
export function rulesOf(manifest: Pick<PluginManifest, 'resources' | 'needs'>, approved: Needs): PolicyRule[] {
  const rules: PolicyRule[] = [];
  for (const [resource, verbs] of Object.entries(manifest.needs)) {
    if (resource === networkNeed) continue; // nothing of the API
    const { group, plural } = splitName(resource);
    const granted = verbs.filter((verb) => !isHookVerb(verb) && approved[resource]?.includes(verb));
    if (granted.length > 0) rules.push({ apiGroups: [group], resources: [plural], verbs: granted });
  }
  for (const { group, plural } of ownKinds(manifest)) {
    const verbs = ['get', 'list', 'watch', 'update', 'patch'];
    rules.push({ apiGroups: [group], resources: [plural, `${plural}/status`, `${plural}/finalizers`], verbs });
  }
  rules.push({ apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] });
  return rules;
}

export const ownKinds = ({ resources }: Pick<PluginManifest, 'resources'>): { group: string; plural: string }[] =>
  resources.map((definition) => {
    const { group, names } = (definition as unknown as { spec: { group: string; names: { plural: string } } }).spec;
    return { group, plural: names.plural };
  });

/** Needs that are not approved, as `pods: create, delete` and `sees and may refuse pods`. Pure. */
export const unapproved = (needs: Needs, approved: Needs): string[] =>
  Object.entries(needs).flatMap(([resource, verbs]) => {
    const missing = verbs.filter((verb) => !approved[resource]?.includes(verb));
    return needLines(resource, missing);
  });
const hookWords: Readonly<Record<HookVerb, string>> = {
  validate: 'sees and may refuse',
  mutate: 'sees and may change',
};
/** What verbs on a resource mean, for people. Pure. */
export function needLines(resource: string, verbs: readonly string[]): string[] {
  if (resource === networkNeed) return verbs.length > 0 ? ['uses the network of its host, outgoing'] : [];
  const api = verbs.filter((verb) => !isHookVerb(verb) && verb !== podGrant);
  const lines = api.length > 0 ? [`${resource}: ${api.join(', ')}`] : [];
  const grants = verbs.includes(podGrant) ? [`makes ${resource} with any privilege, account and secret`] : [];
  return [...lines, ...grants, ...verbs.filter(isHookVerb).map((verb) => `${hookWords[verb]} ${resource}`)];
}

const writes = ['create', 'update', 'patch', 'delete', 'deletecollection'];
const dangerousWrites = [
  'clusterroles.rbac.authorization.k8s.io',
  'clusterrolebindings.rbac.authorization.k8s.io',
  'roles.rbac.authorization.k8s.io',
  'rolebindings.rbac.authorization.k8s.io',
  'customresourcedefinitions.apiextensions.k8s.io',
  'mutatingwebhookconfigurations.admissionregistration.k8s.io',
  'validatingwebhookconfigurations.admissionregistration.k8s.io',
  'apiservices.apiregistration.k8s.io',
  'plugins.plugins.pintle.dev',
  'validatingadmissionpolicies.admissionregistration.k8s.io',
  'validatingadmissionpolicybindings.admissionregistration.k8s.io',
  'mutatingadmissionpolicies.admissionregistration.k8s.io',
  'mutatingadmissionpolicybindings.admissionregistration.k8s.io',
  'certificatesigningrequests.certificates.k8s.io',
  'persistentvolumes', // of type hostPath
  'nodes',
  'serviceaccounts',
  'tokenreviews.authentication.k8s.io', // with it go authenticators: they say who somebody is
  'subjectaccessreviews.authorization.k8s.io', // with it go authorizers: they see and may refuse every request
];
/** Needs that let a plugin become somebody else; they want a second confirmation. Pure. */
export const dangerous = (needs: Needs): string[] =>
  Object.entries(needs).flatMap(([resource, verbs]) => {
    // A pod beyond baseline is the node's root; what it changes of another's pod, such as its account, is written with that one's rights.
    const found = verbs.filter(
      (verb) =>
        resource === 'secrets' ||
        resource === networkNeed ||
        verb === 'mutate' ||
        verb === podGrant ||
        (dangerousWrites.includes(resource) && writes.includes(verb)),
    );
    return needLines(resource, found);
  });

/** The objects that make a plugin somebody: account, role, binding. Pure. */
export function identityOf(manifest: Pick<PluginManifest, 'name' | 'resources' | 'needs'>, approved: Needs) {
  const name = `pintle:plugin:${manifest.name}`;
  const labels = { 'app.kubernetes.io/managed-by': 'pintle', 'plugins.pintle.dev/plugin': manifest.name };
  const rbac = 'rbac.authorization.k8s.io';
  const apiVersion = `${rbac}/v1`;
  return {
    namespace: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: accountNamespace } } as Namespace & KubeObject,
    account: {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: manifest.name, namespace: accountNamespace, labels },
      automountServiceAccountToken: false,
    } as ServiceAccount & KubeObject,
    role: {
      apiVersion,
      kind: 'ClusterRole',
      metadata: { name, labels },
      rules: rulesOf(manifest, approved),
    } as ClusterRole & KubeObject,
    binding: {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: { name, labels },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', name: manifest.name, namespace: accountNamespace }],
    } as ClusterRoleBinding & KubeObject,
  };
}
