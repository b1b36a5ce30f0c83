/** Name forms. Each returns what is wrong with the text, in the words that clients know; empty when nothing is. */
export type NameRule = (text: string) => string[];

const explain = (what: string, pattern: string, ...examples: string[]): string => {
  const shown = examples.map((example) => `'${example}', `).join(' or ');
  return `${what} (e.g. ${shown}regex used for validation is '${pattern}')`;
};
const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`);
const tooLong = (max: number): string => `must be no more than ${max} characters`;
const tooManyBytes = (max: number): string => `must be no more than ${max} bytes`;

const labelText = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const labelPattern = whole(labelText);
export const dnsLabel: NameRule = (text) => {
  if (text.includes('.')) return ['must not contain dots'];
  const mistakes = text.length > 63 ? [tooLong(63)] : [];
  if (!labelPattern.test(text))
    mistakes.push(
      explain(
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
        labelText,
        'my-name',
        '123-abc',
      ),
    );
  return mistakes;
};

const subdomainText = `${labelText}(\\.${labelText})*`;
const subdomainPattern = whole(subdomainText);
export const dnsSubdomain: NameRule = (text) => {
  const mistakes = text.length > 253 ? [tooLong(253)] : [];
  if (!subdomainPattern.test(text))
    mistakes.push(
      explain(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        subdomainText,
        'example.com',
      ),
    );
  return mistakes;
};

/** The same form where upstream counts bytes: prefixes of keys, and names of kinds that it validates by declaration. */
export const dnsSubdomainBytes: NameRule = (text) =>
  dnsSubdomain(text).map((mistake) => (mistake === tooLong(253) ? tooManyBytes(253) : mistake));

const qualifiedText = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const qualifiedPattern = whole(qualifiedText);
const qualifiedHint =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const qualifiedExamples = ['MyName', 'my.name', '123-abc'] as const;
export const qualifiedName: NameRule = (text) => {
  const parts = text.split('/');
  if (parts.length > 2)
    return [
      `a valid label key ${explain(qualifiedHint, qualifiedText, ...qualifiedExamples)} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  const mistakes: string[] = [];
  const name = parts.at(-1)!;
  if (parts.length === 2) {
    if (parts[0] === '') mistakes.push('prefix part must be non-empty');
    else mistakes.push(...dnsSubdomainBytes(parts[0]!).map((text_) => `prefix part ${text_}`));
  }
  if (name === '') mistakes.push('name part must be non-empty');
  else if (name.length > 63) mistakes.push(`name part ${tooManyBytes(63)}`);
  if (!qualifiedPattern.test(name))
    mistakes.push(`name part ${explain(qualifiedHint, qualifiedText, ...qualifiedExamples)}`);
  return mistakes;
};

const valueText = `(${qualifiedText})?`;
const valuePattern = whole(valueText);
export const labelValue: NameRule = (text) => {
  const mistakes = text.length > 63 ? [tooManyBytes(63)] : [];
  if (!valuePattern.test(text))
    mistakes.push(
      explain(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        valueText,
        'MyValue',
        'my_value',
        '12345',
      ),
    );
  return mistakes;
};

const configKeyText = '[-._a-zA-Z0-9]+';
const configKeyPattern = whole(configKeyText);
/** True for what surely is one: a map may have 60,000 of them, and a list of mistakes for each takes long. */
export const isConfigKey = (text: string): boolean =>
  text.length <= 253 && !text.startsWith('.') && configKeyPattern.test(text);
export const configKey: NameRule = (text) => {
  const mistakes = text.length > 253 ? [tooLong(253)] : [];
  if (!configKeyPattern.test(text))
    mistakes.push(
      explain(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        configKeyText,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    );
  if (text === '.') mistakes.push("must not be '.'");
  else if (text === '..') mistakes.push("must not be '..'");
  else if (text.startsWith('..')) mistakes.push("must not start with '..'");
  return mistakes;
};

export const envName: NameRule = (text) =>
  /^[ -<>-~]+$/.test(text)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];

/** IANA service names: what ports are called. */
export const portName: NameRule = (text) => {
  const mistakes = text.length > 15 ? [tooLong(15)] : [];
  if (!/^[-a-z0-9]+$/.test(text))
    mistakes.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(text)) mistakes.push('must contain at least one letter (a-z)');
  if (text.includes('--')) mistakes.push('must not contain consecutive hyphens');
  if (text.startsWith('-') || text.endsWith('-')) mistakes.push('must not begin or end with a hyphen');
  return mistakes;
};

const wildcardText = `\\*\\.${subdomainText}`;
const wildcardPattern = whole(wildcardText);
export const wildcardSubdomain: NameRule = (text) => {
  const mistakes = text.length > 253 ? [tooManyBytes(253)] : [];
  if (!wildcardPattern.test(text))
    mistakes.push(
      explain(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        wildcardText,
        '*.example.com',
      ),
    );
  return mistakes;
};

const label1035Text = '[a-z]([-a-z0-9]*[a-z0-9])?';
const label1035Pattern = whole(label1035Text);
export const dns1035Label: NameRule = (text) => {
  const mistakes = text.length > 63 ? [tooManyBytes(63)] : [];
  if (!label1035Pattern.test(text))
    mistakes.push(
      explain(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        label1035Text,
        'my-name',
        'abc-123',
      ),
    );
  return mistakes;
};

/** A subdomain of at least three parts. */
export const fullyQualifiedName: NameRule = (text) => {
  const mistakes = dnsSubdomain(text);
  if (mistakes.length > 0) return mistakes;
  return text.split('.').length < 3 ? ['should be a domain with at least three segments separated by dots'] : [];
};
