import { errors, matchesLabels, parseFieldSelector, parseLabelSelector, type Selector } from '#api';
import { messageOf } from '#base';
import type { CachedObject } from './cached-object.ts';
import type { RequestInfo, ServedKind } from './contract.ts';

/** Which objects of a kind a request asks for. */
export interface Selection {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Selector;
  readonly fields: Selector;
  /** Nothing but the namespace narrows it. */
  readonly everything: boolean;
  matches(object: CachedObject): boolean;
}

/**
 * Throws 400 for selectors that do not parse and for fields that are not selectable. Of a kind that somebody else answers
 * for, fields beside its name and namespace are that one's to select by.
 */
export function selectionOf(served: ServedKind, info: RequestInfo): Selection {
  const { labels, fields: asked } = parseSelectors(info);
  const fields = served.rest ? asked.filter(({ key }) => namingFields.has(key)) : asked;
  const selectable = served.strategy.selectableFields?.(emptyObject(served)) ?? {};
  for (const requirement of fields) {
    const known =
      requirement.key === 'metadata.name' ||
      (requirement.key === 'metadata.namespace' && served.kind.namespaced) ||
      Object.hasOwn(selectable, requirement.key);
    if (!known) throw errors.badRequest(unknownField(served, requirement.key));
  }
  const namespace = served.kind.namespaced ? info.namespace : '';
  const fieldSets = fields.map((requirement) => ({ ...requirement, not: requirement.operator === 'notin' }));
  return {
    namespace,
    name: equals(fields, 'metadata.name') ?? '',
    labels,
    fields,
    everything: labels.length === 0 && fields.length === 0,
    matches(object) {
      if (namespace && object.namespace !== namespace) return false;
      for (const { key, values, not } of fieldSets) {
        if (((object.fields[key] ?? '') === values[0]) === not) return false;
      }
      return labels.length === 0 || matchesLabels(labels, object.labels);
    },
  };
}

const namingFields: ReadonlySet<string> = new Set(['metadata.name', 'metadata.namespace']);

/** Upstream words it by whether the kind has fields of its own to select by. */
const unknownField = ({ strategy, schema }: ServedKind, key: string): string =>
  strategy.selectableFields || schema
    ? `field label not supported: ${key}`
    : `${JSON.stringify(key)} is not a known field selector: only "metadata.name", "metadata.namespace"`;

/** The value that a selector pins this field to. */
export const equals = (selector: Selector, key: string): string | undefined =>
  selector.find((requirement) => requirement.key === key && requirement.operator === 'in')?.values[0];

function parseSelectors(info: RequestInfo): { labels: Selector; fields: Selector } {
  try {
    return {
      labels: parseLabelSelector(info.query.get('labelSelector') ?? ''),
      fields: [
        ...parseFieldSelector(info.query.get('fieldSelector') ?? ''),
        // `/watch/…/NAME`: the old way to watch one object
        ...(info.verb === 'watch' && info.name
          ? [{ key: 'metadata.name', operator: 'in' as const, values: [info.name] }]
          : []),
      ],
    };
  } catch (error) {
    throw errors.badRequest(messageOf(error));
  }
}

const emptyObject = (served: ServedKind) => ({
  apiVersion: '',
  kind: served.kind.kind,
  metadata: { name: '' },
  spec: {},
  status: {},
  source: {},
  involvedObject: {},
});
