import { type Event, type EventsEvent, eventKind, eventsEventKind, fieldErrors, type KubeObject } from '#api';
import type { Strategy } from '#sdk';
import { since } from './rules/age.ts';
import { column, nameColumn, wide } from './rules/columns.ts';
import { checkMetadata } from './rules/metadata.ts';
import { qualifiedName } from './rules/names.ts';
import { checkImmutable, checkName, type Mistakes, sameJson } from './rules/values.ts';

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

const textBytesMax = 128;
const noteBytesMax = 1024;

/** What upstream asks of every event; `reporter` is what this form calls the reporting component. */
function checkEvent(mistakes: Mistakes, event: Readonly<EventObject>, reporter: string): void {
  const about = event.involvedObject?.namespace ?? '';
  const own = event.metadata.namespace ?? '';
  // Events about objects without a namespace live in `default`.
  const elsewhere = event.eventTime
    ? !about && own !== 'default' && own !== 'kube-system'
    : about
      ? about !== own
      : own !== '' && own !== 'default';
  if (elsewhere)
    mistakes.push(fieldErrors.invalid('involvedObject.namespace', about, 'does not match event.namespace'));
  if (!event.eventTime) return;
  // Events with an eventTime come from the newer API and must be complete.
  if (!event.reportingComponent) mistakes.push(fieldErrors.required(reporter));
  checkName(mistakes, reporter, event.reportingComponent ?? '', qualifiedName);
  const limited = (field: string, text: string | undefined, max: number, needed: boolean) => {
    if (needed && !text) mistakes.push(fieldErrors.required(field));
    if ((text?.length ?? 0) > max) mistakes.push(fieldErrors.invalid(field, '', `can have at most ${max} characters`));
  };
  limited('reportingInstance', event.reportingInstance, textBytesMax, true);
  limited('action', event.action, textBytesMax, true);
  limited('reason', event.reason, textBytesMax, true);
  limited('message', event.message, noteBytesMax, false);
}

export const eventStrategy: Strategy<EventObject> = {
  kind: eventKind,
  createdByUpdate: true,
  subresources: [],
  prepareForCreate() {},
  prepareForUpdate() {},
  validate(next, current) {
    const mistakes = checkMetadata(next, current);
    checkEvent(mistakes, next, 'reportingComponent');
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
    wide('Count', 'How often it was seen.', (event) => event.series?.count ?? event.count ?? 1),
    { ...nameColumn, priority: 1 },
  ],
};

/** The newer form in terms of the older, which the rules are written for. */
const olderForm = (event: Readonly<EventsEvent & KubeObject>): EventObject =>
  ({
    ...event,
    involvedObject: event.regarding ?? {},
    message: event.note,
    source: event.deprecatedSource,
    firstTimestamp: event.deprecatedFirstTimestamp,
    lastTimestamp: event.deprecatedLastTimestamp,
    count: event.deprecatedCount,
    reportingComponent: event.reportingController,
  }) as EventObject;

function checkNew(mistakes: Mistakes, event: Readonly<EventObject>): void {
  checkSeries(mistakes, event);
  if (!event.eventTime) mistakes.push(fieldErrors.required('eventTime'));
  if (event.type !== 'Normal' && event.type !== 'Warning')
    mistakes.push(fieldErrors.invalid('type', '', `has invalid value: ${event.type ?? ''}`));
  const unset = {
    firstTimestamp: event.firstTimestamp,
    lastTimestamp: event.lastTimestamp,
    count: event.count,
    source: event.source?.component || event.source?.host,
  };
  for (const [field, value] of Object.entries(unset))
    if (value) mistakes.push(fieldErrors.invalid(field, '', 'needs to be unset'));
}
function checkSeries(mistakes: Mistakes, { series }: Readonly<EventObject>): void {
  if (!series) return;
  if ((series.count ?? 0) < 2) mistakes.push(fieldErrors.invalid('series.count', '', 'should be at least 2'));
  if (!series.lastObservedTime) mistakes.push(fieldErrors.required('series.lastObservedTime'));
}
const fixedFields = [
  ...(['involvedObject', 'reason', 'message', 'source', 'firstTimestamp', 'lastTimestamp', 'count', 'type'] as const),
  ...(['eventTime', 'action', 'related', 'reportingComponent', 'reportingInstance'] as const),
];

/** events.k8s.io: stricter than core events, and only the series ever changes. */
export const eventsEventStrategy: Strategy<EventsEvent & KubeObject> = {
  kind: eventsEventKind,
  createdByUpdate: true,
  subresources: [],
  prepareForCreate() {},
  prepareForUpdate() {},
  validate(next, current) {
    const mistakes = checkMetadata(next, current);
    const event = olderForm(next);
    checkEvent(mistakes, event, 'reportingController');
    if (!current) checkNew(mistakes, event);
    else {
      const old = olderForm(current);
      if (!sameJson(event.series, old.series)) checkSeries(mistakes, event);
      for (const field of fixedFields)
        checkImmutable(
          mistakes,
          field === 'reportingComponent' ? 'reportingController' : field,
          event[field],
          old[field],
        );
    }
    return mistakes;
  },
  selectableFields(event) {
    const about = event.regarding ?? {};
    return {
      'regarding.kind': about.kind ?? '',
      'regarding.namespace': about.namespace ?? '',
      'regarding.name': about.name ?? '',
      'regarding.uid': about.uid ?? '',
      'regarding.apiVersion': about.apiVersion ?? '',
      'regarding.resourceVersion': about.resourceVersion ?? '',
      'regarding.fieldPath': about.fieldPath ?? '',
      reason: event.reason ?? '',
      reportingController: event.reportingController ?? '',
      type: event.type ?? '',
    };
  },
  columns: (eventStrategy.columns ?? []).map((column_) => ({
    ...column_,
    value: (event: Readonly<EventsEvent & KubeObject>, nowMs: number) => column_.value(olderForm(event), nowMs),
  })),
};
