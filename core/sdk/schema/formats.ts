import { isIP, isIPv4, isIPv6 } from 'node:net';
import { parseTimestamp } from '../cel/library/conversions.ts';

const hex = (pattern: string) => new RegExp(pattern, 'i');
const uuid = (version: string, variant: string) =>
  hex(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${version}-?${variant}-?[0-9a-f]{12}$`);
const card =
  /^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$/;
const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';

function isCidr(text: string): boolean {
  const [address = '', bits, more] = text.split('/');
  if (bits === undefined || more !== undefined || !/^\d{1,3}$/.test(bits) || !isIP(address)) return false;
  return Number(bits) <= (isIPv4(address) ? 32 : 128);
}
function isUri(text: string): boolean {
  if (text.startsWith('/')) return true;
  return /^[a-z][a-z0-9+.-]*:[^\s]*$/i.test(text) && URL.canParse(text);
}
const sum = (digits: readonly number[], weight: (index: number) => number): number =>
  digits.reduce((total, digit, index) => total + digit * weight(index), 0);
function isIsbn10(text: string): boolean {
  const plain = text.replace(/[\s-]+/g, '');
  if (!/^\d{9}[\dX]$/.test(plain)) return false;
  const digits = [...plain].map((char) => (char === 'X' ? 10 : Number(char)));
  return sum(digits, (index) => 10 - index) % 11 === 0;
}
function isIsbn13(text: string): boolean {
  const plain = text.replace(/[\s-]+/g, '');
  return /^\d{13}$/.test(plain) && sum([...plain].map(Number), (index) => (index % 2 ? 3 : 1)) % 10 === 0;
}
const durationUnits = 'ns|us|µs|μs|ms|s|m|h';
const goDuration = new RegExp(
  `^[-+]?(\\d+(\\.\\d*)?|\\.\\d+)(${durationUnits})((\\d+(\\.\\d*)?|\\.\\d+)(${durationUnits}))*$`,
);
/** As Go writes durations, or a number and a word. */
const isDuration = (text: string): boolean =>
  text === '0' ||
  goDuration.test(text) ||
  /^\d+\s*(ns|nanos?|nanoseconds?|us|µs|μs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?)$/.test(
    text.trim(),
  );

const checks: Readonly<Record<string, (text: string) => boolean>> = {
  bsonobjectid: (text) => /^[0-9a-f]{24}$/i.test(text),
  uri: isUri,
  email: (text) => /^([^@<>]*<)?[^@\s<>]+@[^@\s<>]+>?$/.test(text),
  hostname: (text) =>
    text.length <= 255 &&
    /^([a-zA-Z0-9\u00a0-\uffff]([a-zA-Z0-9\u00a0-\uffff-]{0,61}[a-zA-Z0-9\u00a0-\uffff])?\.?)+$/.test(text),
  ipv4: (text) => isIPv4(text),
  ipv6: (text) => isIPv6(text),
  cidr: isCidr,
  mac: (text) =>
    /^([0-9a-f]{2}([:-]))([0-9a-f]{2}\2)*[0-9a-f]{2}$/i.test(text) || /^([0-9a-f]{4}\.)+[0-9a-f]{4}$/i.test(text),
  uuid: (text) => uuid('[0-9a-f]{4}', '[0-9a-f]{4}').test(text),
  uuid3: (text) => uuid('3[0-9a-f]{3}', '[0-9a-f]{4}').test(text),
  uuid4: (text) => uuid('4[0-9a-f]{3}', '[89ab][0-9a-f]{3}').test(text),
  uuid5: (text) => uuid('5[0-9a-f]{3}', '[89ab][0-9a-f]{3}').test(text),
  isbn: (text) => isIsbn10(text) || isIsbn13(text),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  creditcard: (text) => card.test(text.replace(/[^0-9]+/g, '')),
  ssn: (text) => /^\d{3}[- ]?\d{2}[- ]?\d{4}$/.test(text),
  hexcolor: (text) => /^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/.test(text),
  rgbcolor: (text) =>
    /^rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)$/.test(text) &&
    (text.match(/\d+/g) ?? []).every((part) => Number(part) <= 255),
  byte: (text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text),
  date: (text) => /^\d{4}-\d\d-\d\d$/.test(text) && parseTimestamp(`${text}T00:00:00Z`) !== undefined,
  duration: isDuration,
  datetime: (text) => parseTimestamp(text) !== undefined,
  k8sshortname: (text) => text.length <= 63 && new RegExp(`^${label}$`).test(text),
  k8slongname: (text) => text.length <= 253 && new RegExp(`^${label}(\\.${label})*$`).test(text),
};

/** Unknown formats fit everything. */
export const fitsFormat = (format: string, text: string): boolean => checks[format.replaceAll('-', '')]?.(text) ?? true;
