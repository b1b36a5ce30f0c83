import { type Event, eventKind, fieldErrors, type KubeObject } from '#api';
import type { Strategy } from '#sdk';
import { since } from './rules/age.ts';
import { column, nameColumn, wide } from './rules/columns.ts';
import { checkMetadata } from './rules/metadata.ts';
import { qualifiedName } from './rules/names.ts';
import { checkName, type Mistakes } from './rules/values.ts';

type EventObject = Event & KubeObject;

const firstSeen = (event: Readonly<Event>, nowMs: number): string =>
  since(event.firstTimestamp || event.eventTime, nowMs);
function lastSeen(event: Readonly<Event>, nowMs: number): string {
  if (event.series) return since(event.series.lastObservedTime, nowMs);
  return event.lastTimestamp ? since(event.lastTimestamp, nowMs) : firstSeen(event, nowMs);
}
function objectText(event: Readonly<Event>): string {
  const kind = (event.involvedObject.kind ?? '').toLowerCase();
  return event.involvedObject.name ? `${kind}/${event.involvedObject.name}` : kind;
}
function sourceText(event: Readonly<Event>): string {
  const component = event.source?.component || event.reportingComponent || '';
  const instance = event.source?.host || event.reportingInstance || '';
  return instance ? `${component}, ${instance}` : component;
}

/** Events with an eventTime come from the newer API and must be complete. */
function checkNewer(mistakes: Mistakes, event: Readonly<Event>): void {
  if (!event.reportingComponent) mistakes.push(fieldErrors.required('reportingComponent'));
  checkName(mistakes, 'reportingComponent', event.reportingComponent ?? '', qualifiedName);
  for (const name of ['reportingInstance', 'action', 'reason'] as const)
    if (!event[name]) mistakes.push(fieldErrors.required(name));
}

export const eventStrategy: Strategy<EventObject> = {
  kind: eventKind,
  subresources: [],
  prepareForCreate() {},
  prepareForUpdate() {},
  validate(next, current) {
    const mistakes = checkMetadata(next, current);
    const about = next.involvedObject?.namespace ?? '';
    const own = next.metadata.namespace ?? '';
    // Events about objects without a namespace live in `default`.
    if (about ? about !== own : own !== 'default' && own !== 'kube-system' && own !== '')
      mistakes.push(fieldErrors.invalid('involvedObject.namespace', about, 'does not match event.namespace'));
    if (next.eventTime && !current) checkNewer(mistakes, next);
    return mistakes;
  },
  selectableFields(event) {
    const about = event.involvedObject ?? {};
    return {
      'involvedObject.kind': about.kind ?? '',
      'involvedObject.namespace': about.namespace ?? '',
      'involvedObject.name': about.name ?? '',
      'involvedObject.uid': about.uid ?? '',
      'involvedObject.apiVersion': about.apiVersion ?? '',
      'involvedObject.resourceVersion': about.resourceVersion ?? '',
      'involvedObject.fieldPath': about.fieldPath ?? '',
      reason: event.reason ?? '',
      reportingComponent: event.reportingComponent ?? '',
      source: event.source?.component || event.reportingComponent || '',
      type: event.type ?? '',
    };
  },
  columns: [
    column('Last Seen', 'Time since it was seen last.', lastSeen),
    column('Type', 'Normal or Warning.', (event) => event.type ?? ''),
    column('Reason', 'Why, in one word.', (event) => event.reason ?? ''),
    column('Object', 'What it is about.', objectText),
    wide('Subobject', 'Which part of the object.', (event) => event.involvedObject.fieldPath ?? ''),
    wide('Source', 'Who reports it.', sourceText),
    column('Message', 'What happened.', (event) => (event.message ?? '').trim()),
    wide('First Seen', 'Time since it was seen first.', firstSeen),
    wide('Count', 'How often it was seen.', (event) => event.series?.count ?? event.count ?? 1, 'integer'),
    { ...nameColumn, priority: 1 },
  ],
};
