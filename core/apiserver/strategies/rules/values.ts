import ipaddr from 'ipaddr.js';
import { type FieldError, fieldErrors, parseNano, type Quantity } from '#api';
import type { NameRule } from './names.ts';

/** Collects every mistake of one object. */
export type Mistakes = FieldError[];

export function checkName(mistakes: Mistakes, field: string, text: string, rule: NameRule): void {
  for (const detail of rule(text)) mistakes.push(fieldErrors.invalid(field, text, detail));
}
/** Required, then by the rule. */
export function checkNeededName(mistakes: Mistakes, field: string, text: string | undefined, rule: NameRule): void {
  if (!text) mistakes.push(fieldErrors.required(field));
  else checkName(mistakes, field, text, rule);
}
export function checkOneOf(
  mistakes: Mistakes,
  field: string,
  value: string | undefined,
  valid: readonly string[],
): void {
  if (value !== undefined && !valid.includes(value)) mistakes.push(fieldErrors.notSupported(field, value, valid));
}
/** As notSupported, with the values in the order given: some of upstream's messages are not sorted. */
export function checkOneOfUnsorted(
  mistakes: Mistakes,
  field: string,
  value: string | undefined,
  valid: readonly string[],
): void {
  if (value === undefined || valid.includes(value)) return;
  const list = valid.map((text) => JSON.stringify(text)).join(', ');
  mistakes.push({
    type: 'FieldValueNotSupported',
    field,
    message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${list}`,
  });
}
export function checkNotNegative(mistakes: Mistakes, field: string, value: number | undefined): void {
  if (value !== undefined && value < 0)
    mistakes.push(fieldErrors.invalid(field, value, 'must be greater than or equal to 0'));
}
export function checkPort(mistakes: Mistakes, field: string, value: number): void {
  if (!(value >= 1 && value <= 65535))
    mistakes.push(fieldErrors.invalid(field, value, 'must be between 1 and 65535, inclusive'));
}
export function checkId(mistakes: Mistakes, field: string, value: number | undefined): void {
  if (value !== undefined && (value < 0 || value > 2147483647))
    mistakes.push(fieldErrors.invalid(field, value, 'must be between 0 and 2147483647, inclusive'));
}
export const isIp = (text: string): boolean => ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
export function checkIp(mistakes: Mistakes, field: string, text: string): boolean {
  if (isIp(text)) return true;
  mistakes.push(fieldErrors.invalid(field, text, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'));
  return false;
}
export const isCidr = (text: string): boolean => ipaddr.isValidCIDR(text);
export function checkFileMode(mistakes: Mistakes, field: string, mode: number | undefined): void {
  if (mode !== undefined && (mode < 0 || mode > 0o777))
    mistakes.push(fieldErrors.invalid(field, mode, 'must be a number between 0 and 0777 (octal), both inclusive'));
}
/** A negative amount, with the text as upstream shows it. */
export function checkQuantity(mistakes: Mistakes, field: string, value: Quantity): void {
  if ((parseNano(value) ?? 0n) < 0n)
    mistakes.push(fieldErrors.invalid(field, value, 'must be greater than or equal to 0'));
}
export const sameJson = (left: unknown, right: unknown): boolean =>
  left === right || Bun.deepEquals(left, right, false);
/** As checkImmutable, where upstream does not show the value. */
export function checkFixed(mistakes: Mistakes, field: string, next: unknown, current: unknown): void {
  if (!sameJson(next, current)) mistakes.push(fieldErrors.invalid(field, null, 'field is immutable'));
}
export function checkImmutable(mistakes: Mistakes, field: string, next: unknown, current: unknown): void {
  if (!sameJson(next, current)) mistakes.push(fieldErrors.invalid(field, next, 'field is immutable'));
}
