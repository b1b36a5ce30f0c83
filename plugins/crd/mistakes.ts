import { type FieldError, fieldErrors } from '#sdk';

/** Names as definitions use them: upstream joins every reason with a comma. */
const label1035 =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const subdomain =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

export function labelMistakes(text: string): string[] {
  return [
    ...(text.length > 63 ? ['must be no more than 63 characters'] : []),
    ...(/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(text) ? [] : [label1035]),
  ];
}
export function subdomainMistakes(text: string): string[] {
  return [
    ...(text.length > 253 ? ['must be no more than 253 characters'] : []),
    ...(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text) ? [] : [subdomain]),
  ];
}

/** Collects mistakes at paths. */
export class Mistakes {
  readonly list: FieldError[] = [];
  required(field: string, detail = ''): void {
    this.list.push(fieldErrors.required(field, detail));
  }
  invalid(field: string, value: unknown, detail: string): void {
    this.list.push(fieldErrors.invalid(field, value, detail));
  }
  forbidden(field: string, detail: string): void {
    this.list.push(fieldErrors.forbidden(field, detail));
  }
  notSupported(field: string, value: string, valid: readonly string[]): void {
    this.list.push(fieldErrors.notSupported(field, value, valid));
  }
  /** In the order of the list, as upstream tells some. */
  listed(field: string, value: string, valid: readonly string[]): void {
    const names = valid.map((one) => JSON.stringify(one)).join(', ');
    const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${names}`;
    this.list.push({ type: 'FieldValueNotSupported', field, message });
  }
  duplicate(field: string, value: unknown): void {
    this.list.push(fieldErrors.duplicate(field, value));
  }
  label(field: string, text: string | undefined, prefix = ''): void {
    const reasons = text ? labelMistakes(prefix ? text.toLowerCase() : text) : [];
    if (reasons.length > 0) this.invalid(field, text, prefix + reasons.join(','));
  }
  oneOf(field: string, value: string | undefined, valid: readonly string[]): void {
    if (!value) this.required(field);
    else if (!valid.includes(value)) this.notSupported(field, value, valid);
  }
}
