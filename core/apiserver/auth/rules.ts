import type { Attributes } from './attributes.ts';

/** A written permission. `*` stands for every group, or every resource without its subresources. */
export interface Rule {
  readonly verbs: readonly string[];
  readonly groups: readonly string[];
  /** Plurals; a subresource is `pods/status`. */
  readonly resources: readonly string[];
  readonly names?: readonly string[];
}
const read = ['get', 'list', 'watch'];
const events: Rule = { verbs: ['create', 'update', 'patch'], groups: ['', 'events.k8s.io'], resources: ['events'] };
/** What a node may do that does not depend on which node it is. */
export const nodeRules: readonly Rule[] = [
  events,
  { verbs: read, groups: [''], resources: ['services'] },
  { verbs: read, groups: ['storage.k8s.io'], resources: ['csidrivers'] },
  { verbs: read, groups: ['node.k8s.io'], resources: ['runtimeclasses'] },
  { verbs: read, groups: ['certificates.k8s.io'], resources: ['clustertrustbundles'] },
  { verbs: ['create', ...read], groups: ['certificates.k8s.io'], resources: ['podcertificaterequests'] },
  { verbs: ['create'], groups: ['authentication.k8s.io'], resources: ['tokenreviews'] },
  { verbs: read, groups: ['plugins.pintle.dev'], resources: ['plugins'] },
  // Which entry of it a node writes is for admission to say.
  { verbs: ['patch'], groups: ['plugins.pintle.dev'], resources: ['plugins/status'] },
  {
    verbs: ['create'],
    groups: ['authorization.k8s.io'],
    resources: ['subjectaccessreviews', 'localsubjectaccessreviews'],
  },
];

export function ruleAllows(rule: Rule, { verb, group, resource, subresource, name }: Attributes): boolean {
  const wanted = subresource ? `${resource}/${subresource}` : resource;
  return (
    rule.verbs.includes(verb) &&
    (rule.groups.includes(group) || rule.groups.includes('*')) &&
    (rule.resources.includes(wanted) || (rule.resources.includes('*') && !subresource)) &&
    (rule.names === undefined || rule.names.includes(name))
  );
}
