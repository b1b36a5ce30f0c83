import type { PolicyRule } from '#api';
import type { Attributes } from '../attributes.ts';

/** What a rule of a role allows. Pure; the same answers as upstream's evaluator. */
type Rule = Readonly<PolicyRule>;
const none: readonly string[] = [];
const holds = (list: readonly string[] | undefined, value: string): boolean =>
  list !== undefined && (list.includes('*') || list.includes(value));

export function ruleAllows(rule: Rule, asked: Attributes): boolean {
  if (!holds(rule.verbs, asked.verb)) return false;
  if (!asked.isResource) return (rule.nonResourceURLs ?? none).some((pattern) => pathCovers(pattern, asked.path));
  if (!holds(rule.apiGroups, asked.group)) return false;
  const { resource, subresource, name } = asked;
  const wanted = subresource ? `${resource}/${subresource}` : resource;
  const resources = rule.resources ?? none;
  const named = rule.resourceNames ?? none;
  return (
    (holds(resources, wanted) || (subresource !== '' && resources.includes(`*/${subresource}`))) &&
    (named.length === 0 || named.includes(name))
  );
}

/** `*` for every path, `/x*` for every path that begins so, else exactly this one. */
const pathCovers = (pattern: string, path: string): boolean =>
  pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.replace(/\*+$/, '')));

/** Every part of `wanted` that no rule of `held` covers by itself: one verb, one resource, one name each. */
export function uncovered(held: readonly Rule[], wanted: readonly Rule[]): PolicyRule[] {
  return wanted.flatMap(breakDown).filter((part) => !held.some((rule) => covers(rule, part)));
}

function breakDown(rule: Rule): PolicyRule[] {
  const parts: PolicyRule[] = [];
  for (const group of rule.apiGroups ?? none)
    for (const resource of rule.resources ?? none)
      for (const verb of rule.verbs ?? none) {
        const part = { apiGroups: [group], resources: [resource], verbs: [verb] };
        const names = rule.resourceNames ?? none;
        if (names.length === 0) parts.push(part);
        for (const name of names) parts.push({ ...part, resourceNames: [name] });
      }
  for (const url of rule.nonResourceURLs ?? none)
    for (const verb of rule.verbs ?? none) parts.push({ nonResourceURLs: [url], verbs: [verb] });
  return parts;
}

/** `part` has at most one of everything. */
function covers(rule: Rule, part: Rule): boolean {
  const [group, resource, name, url] = [
    part.apiGroups?.[0],
    part.resources?.[0],
    part.resourceNames?.[0],
    part.nonResourceURLs?.[0],
  ];
  if (!holds(rule.verbs, part.verbs![0]!)) return false;
  if (group !== undefined && !holds(rule.apiGroups, group)) return false;
  if (resource !== undefined && !coversResource(rule.resources ?? none, resource)) return false;
  const names = rule.resourceNames ?? none;
  if (names.length > 0 && (name === undefined || !names.includes(name))) return false;
  return url === undefined || (rule.nonResourceURLs ?? none).some((pattern) => pathCovers(pattern, url));
}
function coversResource(held: readonly string[], resource: string): boolean {
  if (holds(held, resource)) return true;
  const slash = resource.indexOf('/');
  return slash >= 0 && held.includes(`*${resource.slice(slash)}`);
}

/** As refusals show them: verbs of one resource together, sorted. */
export function ruleTexts(rules: readonly Rule[]): string[] {
  const simple = new Map<string, PolicyRule>();
  const all: Rule[] = [];
  for (const rule of rules) {
    const isSimple = rule.resources?.length === 1 && rule.apiGroups?.length === 1;
    const key = JSON.stringify([rule.apiGroups, rule.resources, rule.resourceNames]);
    const known = isSimple ? simple.get(key) : undefined;
    if (known) known.verbs = [...(known.verbs ?? []), ...(rule.verbs ?? [])];
    else {
      const copy = { ...rule };
      if (isSimple) simple.set(key, copy as PolicyRule);
      all.push(copy);
    }
  }
  return [...new Set(all.map(ruleText))].sort();
}
const quoted = (list: readonly string[]): string => `[${list.map((text) => JSON.stringify(text)).join(' ')}]`;
function ruleText(rule: Rule): string {
  const parts = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['ResourceNames', rule.resourceNames],
    ['Verbs', rule.verbs],
  ] as const;
  const shown = parts.filter(([, list]) => list && list.length > 0).map(([name, list]) => `${name}:${quoted(list!)}`);
  return `{${shown.join(', ')}}`;
}
