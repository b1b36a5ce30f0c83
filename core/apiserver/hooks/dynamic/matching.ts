import {
  errors,
  type LabelSelector,
  type MatchResources,
  matchesLabels,
  type Namespace,
  namespaceKind,
  type RuleWithOperations,
  selectorOf,
} from '#api';
import type { AdmissionRequest, AnyObject, Reader } from '../../contract.ts';

/** Resource and kind as which a request is shown to a webhook or a policy. */
export interface Target {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly kind: string;
}
/** What decides whether rules and selectors choose a request. */
export interface Subject {
  readonly operation: AdmissionRequest['operation'];
  readonly target: Target;
  /** The same resource in other versions, and in other groups that share its storage. */
  readonly equivalents: readonly Target[];
  readonly subresource: string;
  /** Of a namespace its own name. */
  readonly namespace: string;
  readonly name: string;
  readonly object?: Readonly<AnyObject>;
  readonly current?: Readonly<AnyObject>;
}

const configurationKinds = new Set([
  'ValidatingWebhookConfiguration',
  'MutatingWebhookConfiguration',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
  'MutatingAdmissionPolicy',
  'MutatingAdmissionPolicyBinding',
]);
/** What configures admission is not admitted by it: nobody could lock himself out for good. Nor are questions about rights. */
export const isExempt = ({ group, kind }: Target): boolean =>
  (group === 'admissionregistration.k8s.io' && configurationKinds.has(kind)) ||
  ((group === 'authentication.k8s.io' || group === 'authorization.k8s.io') && kind.endsWith('Review'));

const isNamespace = ({ group, resource }: Target): boolean => group === '' && resource === 'namespaces';
const has = (list: readonly string[] | undefined, value: string): boolean =>
  list !== undefined && (list[0] === '*' || list.includes(value));

/** Whether a rule is about this operation on this resource. */
export function matchesRule(rule: Readonly<RuleWithOperations>, subject: Subject, target = subject.target): boolean {
  const { operation, subresource, namespace } = subject;
  if (!rule.operations?.some((one) => one === '*' || one === operation)) return false;
  if (!has(rule.apiGroups, target.group) || !has(rule.apiVersions, target.version)) return false;
  const isClusterWide = isNamespace(target) || namespace === '';
  if (rule.scope === 'Namespaced' && isClusterWide) return false;
  if (rule.scope === 'Cluster' && !isClusterWide) return false;
  return (rule.resources ?? []).some((text) => {
    const slash = text.indexOf('/');
    const [resource, part] = slash < 0 ? [text, ''] : [text.slice(0, slash), text.slice(slash + 1)];
    return (resource === '*' || resource === target.resource) && (part === '*' || part === subresource);
  });
}

/** As what the rules choose it: as it was asked for, else (by `Equivalent`) in another form. Undefined: not at all. */
export function chosenBy(
  rules: readonly RuleWithOperations[] | undefined,
  matchPolicy: string | undefined,
  subject: Subject,
): Target | undefined {
  if (rules?.some((rule) => matchesRule(rule, subject))) return subject.target;
  if (matchPolicy === 'Exact') return undefined;
  for (const rule of rules ?? [])
    for (const target of subject.equivalents) if (matchesRule(rule, subject, target)) return target;
  return undefined;
}

const isEmpty = (selector: LabelSelector | undefined): boolean =>
  !selector?.matchExpressions?.length && Object.keys(selector?.matchLabels ?? {}).length === 0;

/** Objects outside namespaces are chosen by every selector. Throws 404 where the namespace is missing. */
export function namespaceSelected(selector: LabelSelector | undefined, subject: Subject, reader: Reader): boolean {
  if (isEmpty(selector)) return true;
  const { target, namespace, operation, object } = subject;
  if (!isNamespace(target) && namespace === '') return true;
  if (isNamespace(target) && !subject.subresource && (operation === 'CREATE' || operation === 'UPDATE'))
    return matchesLabels(selectorOf(selector!), object?.metadata.labels ?? {});
  const found = reader.get(namespaceKind, '', isNamespace(target) ? subject.name : namespace) as Namespace | undefined;
  if (!found) throw errors.notFound('namespaces', namespace);
  return matchesLabels(selectorOf(selector!), found.metadata?.labels ?? {});
}

/** Either the new or the former state has such labels. */
export function objectSelected(selector: LabelSelector | undefined, { object, current }: Subject): boolean {
  if (isEmpty(selector)) return true;
  const wanted = selectorOf(selector!);
  return [object, current].some(
    (one) => one?.metadata !== undefined && matchesLabels(wanted, one.metadata.labels ?? {}),
  );
}

/** Of policies and their bindings. Undefined: not chosen. Empty constraints choose everything. */
export function chosenByMatch(
  match: Readonly<MatchResources> | undefined,
  subject: Subject,
  reader: Reader,
): Target | undefined {
  if (!match) return subject.target;
  if (!objectSelected(match.objectSelector, subject) || !namespaceSelected(match.namespaceSelector, subject, reader))
    return undefined;
  const named = <T extends { readonly resourceNames?: readonly string[] }>(rules: readonly T[] | undefined) =>
    rules?.filter(({ resourceNames }) => !resourceNames?.length || resourceNames.includes(subject.name));
  if (chosenBy(named(match.excludeResourceRules), match.matchPolicy, subject)) return undefined;
  if (!match.resourceRules?.length) return subject.target;
  return chosenBy(named(match.resourceRules), match.matchPolicy, subject);
}
