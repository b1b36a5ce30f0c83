import { fieldErrors } from '#api';
import { anyPathSegment } from '../rules/metadata.ts';
import { dnsSubdomain } from '../rules/names.ts';
import { checkName, type Mistakes } from '../rules/values.ts';

/** A typed reference to another object: optional group, needed kind and name. */
export function checkReference(
  mistakes: Mistakes,
  at: string,
  reference: { readonly apiGroup?: string; readonly kind?: string; readonly name?: string },
  late: Mistakes = mistakes,
): void {
  if (reference.apiGroup !== undefined) checkName(mistakes, `${at}.apiGroup`, reference.apiGroup, dnsSubdomain);
  for (const name of ['kind', 'name'] as const) {
    const text = reference[name];
    if (!text) late.push(fieldErrors.required(`${at}.${name}`));
    else checkName(mistakes, `${at}.${name}`, text, anyPathSegment);
  }
}
