/** Label and field selectors, as query text and as metav1.LabelSelector. */
export interface Requirement {
  readonly key: string;
  readonly operator: 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt';
  readonly values: readonly string[];
}
export type Selector = readonly Requirement[];
type Labels = Readonly<Record<string, string>> | undefined;

export function matchesLabels(selector: Selector, labels: Labels): boolean {
  return selector.every((requirement) => {
    const value = labels && Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
    switch (requirement.operator) {
      case 'in':
        return value !== undefined && requirement.values.includes(value);
      case 'notin':
        return value === undefined || !requirement.values.includes(value);
      case 'exists':
        return value !== undefined;
      case '!':
        return value === undefined;
      case 'gt':
        return value !== undefined && Number(value) > Number(requirement.values[0]);
      case 'lt':
        return value !== undefined && Number(value) < Number(requirement.values[0]);
    }
  });
}

/** Plain equality, as ReplicationController and Service selectors. An empty or absent one matches nothing. */
export function matchesSet(set: Labels, labels: Labels): boolean {
  const keys = Object.keys(set ?? {});
  return keys.length > 0 && keys.every((key) => labels?.[key] === set![key]);
}

interface LabelSelector {
  readonly matchLabels?: Record<string, string>;
  readonly matchExpressions?: readonly { key: string; operator: string; values?: readonly string[] }[];
}
/** metav1.LabelSelector: an empty one matches everything, an absent one nothing (callers test for absence). */
export function selectorOf(selector: LabelSelector): Selector {
  const equal = Object.entries(selector.matchLabels ?? {}).map(
    ([key, value]): Requirement => ({ key, operator: 'in', values: [value] }),
  );
  const operators: Record<string, Requirement['operator']> = {
    In: 'in',
    NotIn: 'notin',
    Exists: 'exists',
    DoesNotExist: '!',
    Gt: 'gt',
    Lt: 'lt',
  };
  const expressions = (selector.matchExpressions ?? []).map(
    (expression): Requirement => ({
      key: expression.key,
      operator: operators[expression.operator] ?? 'in',
      values: expression.values ?? [],
    }),
  );
  return [...equal, ...expressions];
}

export { parseFieldSelector, parseLabelSelector } from './selector-text.ts';
