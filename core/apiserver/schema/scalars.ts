import { canonicalQuantity, parseNano } from '#api';

/** What a text field may hold: each returns the stored form, or an error text as upstream's decoder words it. */
export type Scalar = { readonly value: string } | { readonly error: string };

const canonicalTime = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/;
const anyTime = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

const timeLayout = '2006-01-02T15:04:05Z07:00';
function timeError(text: string, layout = timeLayout, rest = text, wanted = '2006'): string {
  const quote = JSON.stringify;
  return `parsing time ${quote(text)} as ${quote(layout)}: cannot parse ${quote(rest)} as ${quote(wanted)}`;
}

/** metav1.Time: RFC 3339 to whole seconds in UTC. */
export function decodeTime(text: string): Scalar {
  if (canonicalTime.test(text)) return { value: text };
  const ms = anyTime.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) return { error: timeError(text) };
  return { value: `${new Date(ms).toISOString().slice(0, 19)}Z` };
}

/** metav1.MicroTime: RFC 3339 with exactly six digits of fraction, in UTC. */
export function decodeMicroTime(text: string): Scalar {
  const match = anyTime.exec(text);
  const ms = match ? Date.parse(text) : Number.NaN;
  const layout = '2006-01-02T15:04:05.000000Z07:00';
  if (!match || Number.isNaN(ms)) return { error: timeError(text, layout) };
  if (match[7]?.length !== 7) return { error: timeError(text, layout, `${match[7] ?? ''}${match[8]}`, '.000000') };
  return { value: `${new Date(ms).toISOString().slice(0, 19)}${match[7]}Z` };
}

export const quantityError = `quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`;
/** Most quantities of a cluster are a few texts; the bound keeps a hostile client from filling memory. */
const canonicalTextsMax = 4096;
const canonicalTexts = new Map<string, string>();

export function decodeQuantity(input: string | number): Scalar {
  const text = String(input);
  const known = canonicalTexts.get(text);
  if (known !== undefined) return { value: known };
  if (text.length > 64 || parseNano(text) === undefined) return { error: quantityError };
  const value = canonicalQuantity(text);
  if (canonicalTexts.size >= canonicalTextsMax) canonicalTexts.clear();
  canonicalTexts.set(text, value);
  return { value };
}

/** Standard base64 with padding; line breaks are allowed and dropped. */
export function decodeBase64(text: string): Scalar {
  const value = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, '') : text;
  const bad = /[^A-Za-z0-9+/=]/.exec(value)?.index ?? -1;
  if (bad >= 0) return { error: `illegal base64 data at input byte ${bad}` };
  const padding = value.indexOf('=');
  if (value.length % 4 !== 0)
    return { error: `illegal base64 data at input byte ${value.length - (value.length % 4)}` };
  if (padding >= 0 && !/^={1,2}$/.test(value.slice(padding)))
    return { error: `illegal base64 data at input byte ${padding}` };
  return { value };
}
