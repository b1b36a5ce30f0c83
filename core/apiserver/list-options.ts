import { errors, type FieldError, fieldErrors, invalidObject, isResourceVersion, type ResourceVersion } from '#api';
import { isTrue } from './request-info.ts';

/** What list and watch requests ask beyond their selectors; checked in upstream's order and words. */
export interface ListOptions {
  /** 0: no limit. */
  readonly limit: number;
  readonly continue: string;
  readonly resourceVersion: ResourceVersion | '';
  readonly match: '' | 'Exact' | 'NotOlderThan';
  readonly sendInitialEvents: boolean | undefined;
  /** 0: not asked for. */
  readonly timeoutSeconds: number;
  readonly bookmarks: boolean;
}

/** Throws 400 for numbers that do not parse and 422 for options that exclude each other. */
export function listOptionsOf(query: URLSearchParams, watch: boolean): ListOptions {
  const options = {
    limit: Math.max(0, integerOf(query.get('limit'))),
    continue: query.get('continue') ?? '',
    resourceVersion: query.get('resourceVersion') ?? '',
    match: query.get('resourceVersionMatch') ?? '',
    sendInitialEvents: query.has('sendInitialEvents') ? isTrue(query.get('sendInitialEvents')) : undefined,
    timeoutSeconds: integerOf(query.get('timeoutSeconds')),
    bookmarks: isTrue(query.get('allowWatchBookmarks')),
  };
  const mistakes = watch ? watchMistakes(options) : listMistakes(options);
  if (mistakes.length > 0) throw invalidObject('ListOptions', 'meta.k8s.io', '', mistakes);
  return options as ListOptions;
}

/** An int64 of the query, as upstream's decoder reads it; absent or empty is 0. Throws 400. */
export function integerOf(text: string | null): number {
  if (!text) return 0;
  if (!/^[+-]?\d+$/.test(text))
    throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  const value = Number(text); // beyond 2^53 its neighbour: no list is that long
  const exact = BigInt(text.replace('+', ''));
  if (BigInt.asIntN(64, exact) !== exact)
    throw errors.badRequest(`strconv.ParseInt: parsing "${text}": value out of range`);
  return value;
}

type Raw = Pick<ListOptions, 'sendInitialEvents' | 'continue'> & {
  readonly resourceVersion: string;
  readonly match: string;
};
const matchField = 'resourceVersionMatch';
const forbidden = (detail: string): FieldError => fieldErrors.forbidden(matchField, `resourceVersionMatch ${detail}`);
/** Upstream names the values in this order, an empty one last. */
const unsupported = (match: string, supported: readonly string[]): FieldError => ({
  type: 'FieldValueNotSupported',
  field: matchField,
  message: `Unsupported value: ${JSON.stringify(match)}: supported values: ${supported.map((one) => JSON.stringify(one)).join(', ')}`,
});

function listMistakes({ match, resourceVersion, continue: token, sendInitialEvents }: Raw): FieldError[] {
  const mistakes: FieldError[] = [];
  if (match) {
    if (!resourceVersion) mistakes.push(forbidden('is forbidden unless resourceVersion is provided'));
    if (token) mistakes.push(forbidden('is forbidden when continue is provided'));
    if (match !== 'Exact' && match !== 'NotOlderThan') mistakes.push(unsupported(match, ['Exact', 'NotOlderThan', '']));
    if (match === 'Exact' && resourceVersion === '0')
      mistakes.push(forbidden('"exact" is forbidden for resourceVersion "0"'));
  }
  if (sendInitialEvents !== undefined)
    mistakes.push(fieldErrors.forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  return mistakes;
}

function watchMistakes({ match, continue: token, sendInitialEvents }: Raw): FieldError[] {
  const mistakes: FieldError[] = [];
  if (sendInitialEvents !== undefined && match !== 'NotOlderThan')
    mistakes.push(
      fieldErrors.forbidden(matchField, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'),
    );
  if (match) {
    if (sendInitialEvents === undefined)
      mistakes.push(forbidden('is forbidden for watch unless sendInitialEvents is provided'));
    if (match !== 'NotOlderThan') mistakes.push(unsupported(match, ['NotOlderThan']));
    if (token) mistakes.push(forbidden('is forbidden when continue is provided'));
  }
  return mistakes;
}

/** Why a text is no resource version. */
export const versionMistake = (text: string): string =>
  `resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: ${/^\d+$/.test(text) ? 'value out of range' : 'invalid syntax'}`;

/** Throws 400 for what is no version; leading zeros are one. */
export function checkedVersion(text: string): ResourceVersion | undefined {
  if (!text) return undefined;
  const plain = text.replace(/^0+(?=\d)/, '');
  if (!isResourceVersion(plain)) throw errors.badRequest(`invalid resource version: ${versionMistake(text)}`);
  return plain;
}
