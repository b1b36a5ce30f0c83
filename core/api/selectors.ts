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

const keyPattern = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const valuePattern = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

/** Query text such as `a=b,c!=d,e in (f,g),h,!i`. Throws an Error whose message says what is wrong. */
export function parseLabelSelector(text: string): Selector {
  return splitOutside(text).map((part) => {
    const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(part);
    const compare = /^([^=!<>\s]+)\s*(==|=|!=|>|<)\s*([^=!<>\s]*)$/.exec(part);
    const plain = /^(!?)\s*([^=!<>\s(),]+)$/.exec(part);
    const requirement: Requirement | undefined = set
      ? { key: set[1]!, operator: set[2] as 'in' | 'notin', values: set[3]!.split(',').map((value) => value.trim()) }
      : compare
        ? {
            key: compare[1]!,
            operator: ({ '!=': 'notin', '>': 'gt', '<': 'lt' } as const)[compare[2]!] ?? 'in',
            values: [compare[3]!],
          }
        : plain
          ? { key: plain[2]!, operator: plain[1] ? '!' : 'exists', values: [] }
          : undefined;
    if (!requirement)
      throw new Error(`unable to parse requirement: found '${part}', expected: a label selector requirement`);
    if (!keyPattern.test(requirement.key))
      throw new Error(
        `unable to parse requirement: <nil>: Invalid value: "${requirement.key}": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
      );
    const bad = requirement.values.find((value) => !valuePattern.test(value));
    if (bad !== undefined)
      throw new Error(
        `unable to parse requirement: values[0][${requirement.key}]: Invalid value: "${bad}": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
      );
    return requirement;
  });
}

/** `metadata.name=x,status.phase!=Running`. Only =, == and !=; the caller checks that each key is selectable. */
export function parseFieldSelector(text: string): Selector {
  return splitOutside(text).map((part) => {
    const match = /^([^=!]+)(==|=|!=)(.*)$/s.exec(part);
    if (!match) throw new Error(`invalid selector: '${text}'; can't understand '${part}'`);
    return {
      key: match[1]!,
      operator: match[2] === '!=' ? 'notin' : 'in',
      values: [match[3]!.replace(/\\([,=\\])/g, '$1')],
    };
  });
}

function splitOutside(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let current = '';
  for (let index = 0; index < text.length; index++) {
    const char = text[index]!;
    if (char === '\\') {
      current += char + (text[++index] ?? '');
      continue;
    }
    if (char === '(') depth++;
    if (char === ')') depth--;
    if (char === ',' && depth === 0) {
      parts.push(current.trim());
      current = '';
    } else current += char;
  }
  if (current.trim()) parts.push(current.trim());
  return parts.filter((part) => part !== '');
}
