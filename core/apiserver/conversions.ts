import type { AnyKind, JsonObject } from './contract.ts';

/** Between the stored form of an object and that of a kind which shares its storage. Both return a new object. */
export interface Conversion {
  fromStored(object: JsonObject): JsonObject;
  toStored(object: JsonObject): JsonObject;
}

/** Field of core events → field of events.k8s.io. What is not named here is called the same in both. */
const eventFields: Readonly<Record<string, string>> = {
  involvedObject: 'regarding',
  message: 'note',
  source: 'deprecatedSource',
  firstTimestamp: 'deprecatedFirstTimestamp',
  lastTimestamp: 'deprecatedLastTimestamp',
  count: 'deprecatedCount',
  reportingComponent: 'reportingController',
};
const backwards = (table: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(table).map(([from, to]) => [to, from]));
const renamed = (object: JsonObject, table: Readonly<Record<string, string>>): JsonObject =>
  Object.fromEntries(
    Object.entries(object)
      .filter(([key, value]) => value !== '' || Object.hasOwn(table, key) === false)
      .map(([key, value]) => [Object.hasOwn(table, key) ? table[key]! : key, value]),
  );

const conversions: Readonly<Record<string, Conversion>> = {
  'events.k8s.io/events': {
    fromStored: (object) => renamed(object, eventFields),
    toStored: (object) => ({
      reportingComponent: '',
      reportingInstance: '',
      ...renamed(object, backwards(eventFields)),
    }),
  },
};

/** Undefined: this kind is stored as it is served. */
export function conversionOf(kind: AnyKind): Conversion | undefined {
  return kind.storedAs && conversions[`${kind.group}/${kind.plural}`];
}
