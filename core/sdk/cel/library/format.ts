import { global, method, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import { CelOpaque, CelOptional, type Value } from '../values.ts';
import { parseTimestamp } from './conversions.ts';

const name = 'kubernetes.NamedFormat';
const format = t.opaque(name);
interface Format {
  /** What is wrong with a text; empty when nothing is. */
  check(text: string): string[];
  /** Length of the pattern it stands for, for the cost. */
  readonly size: number;
}

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const label1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualified = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const labelText =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const label1035Text =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const subdomainText =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const qualifiedText =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const labelValueText =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const atMost = (max: number, text: string): string[] =>
  text.length > max ? [`must be no more than ${max} characters`] : [];
const dns = (pattern: RegExp, max: number, message: string) => (text: string) => [
  ...atMost(max, text),
  ...(pattern.test(text) ? [] : [message]),
];
/** A prefix of a generated name may end with a hyphen. */
const asPrefix =
  (check: Format['check']): Format['check'] =>
  (text) =>
    check(text.length > 1 && text.endsWith('-') ? `${text.slice(0, -1)}a` : text);
const is =
  (holds: (text: string) => boolean, message: string): Format['check'] =>
  (text) =>
    holds(text) ? [] : [message];

function checkQualifiedName(text: string): string[] {
  const parts = text.split('/');
  if (parts.length > 2)
    return [
      `a qualified name ${qualifiedText.slice('name part '.length)} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  const [own, prefix] = [parts.at(-1)!, parts.length === 2 ? parts[0]! : undefined];
  return [
    ...(prefix === ''
      ? ['prefix part must be non-empty']
      : prefix
        ? dns(subdomain, 253, subdomainText)(prefix).map((one) => `prefix part ${one}`)
        : []),
    ...(own === '' ? ['name part must be non-empty'] : atMost(63, own).map((one) => `name part ${one}`)),
    ...(qualified.test(own) ? [] : [qualifiedText]),
  ];
}
const label1123 = dns(label, 63, labelText);
const subdomain1123 = dns(subdomain, 253, subdomainText);
const dns1035 = dns(label1035, 63, label1035Text);

const formats: Readonly<Record<string, Format>> = {
  dns1123Label: { check: label1123, size: 30 },
  dns1123Subdomain: { check: subdomain1123, size: 60 },
  dns1035Label: { check: dns1035, size: 30 },
  qualifiedName: { check: checkQualifiedName, size: 60 },
  dns1123LabelPrefix: { check: asPrefix(label1123), size: 30 },
  dns1123SubdomainPrefix: { check: asPrefix(subdomain1123), size: 60 },
  dns1035LabelPrefix: { check: asPrefix(dns1035), size: 30 },
  labelValue: {
    check: (text) => [...atMost(63, text), ...(text === '' || qualified.test(text) ? [] : [labelValueText])],
    size: 40,
  },
  uri: { check: is((text) => URL.canParse(text) || /^\//.test(text), 'invalid URI'), size: 1103 },
  uuid: {
    check: is(
      (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text),
      'does not match the UUID format',
    ),
    size: 64,
  },
  byte: {
    check: is((text) => /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0, 'invalid base64'),
    size: 84,
  },
  date: {
    check: is(
      (text) => /^\d{4}-\d\d-\d\d$/.test(text) && parseTimestamp(`${text}T00:00:00Z`) !== undefined,
      'invalid date',
    ),
    size: 20,
  },
  datetime: { check: is((text) => parseTimestamp(text) !== undefined, 'invalid datetime'), size: 40 },
};
const made = new Map(Object.entries(formats).map(([key, value]) => [key, new CelOpaque(name, value, key)]));

export const namedFormats: readonly Overload[] = [
  ...[...made].map(([key, value]) => global(`format.${key}`, [], format, () => value)),
  global('format.named', [t.string], t.optional(format), (key: string) => new CelOptional(made.get(key))),
  method(
    'validate',
    [format, t.string],
    t.optional(t.list(t.string)),
    (value: CelOpaque, text: string) => {
      const problems = (value.data as Format).check(text);
      return problems.length ? new CelOptional(problems) : CelOptional.none;
    },
    {
      weigh: (value: Value, text: Value) =>
        Math.ceil((String(text).length + 1) * 0.1) * Math.ceil(((value as CelOpaque).data as Format).size * 0.25),
    },
  ),
];
