/** The part of JSONPath that columns use: fields, indexes, `*`, slices, simple filters and `..`. */
type Step = (values: unknown[]) => unknown[];

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const children = (value: unknown): unknown[] =>
  Array.isArray(value) ? (value as unknown[]) : isObject(value) ? Object.values(value) : [];
const everything = (value: unknown): unknown[] => [value, ...children(value).flatMap(everything)];
const field =
  (name: string): Step =>
  (values) =>
    values.flatMap((value) => (isObject(value) && Object.hasOwn(value, name) ? [value[name]] : []));

/** Undefined: the text is no path. Such as `.status.conditions[?(@.type=="Ready")].status`. */
export function compilePath(text: string): ((object: unknown) => unknown[]) | undefined {
  const steps: Step[] = [];
  let rest = text.trim().replace(/^\$/, '');
  while (rest) {
    const dots = /^(\.\.?)(\*|[^.[\]\s]+)?/.exec(rest);
    const bracket = dots
      ? undefined
      : /^\[((?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\?\((?:[^()"']|"[^"]*"|'[^']*')*\)|[^\]'"?])+)\]/.exec(rest);
    if (!dots && !bracket) return undefined;
    rest = rest.slice((dots ?? bracket)![0].length);
    if (dots) {
      if (dots[1] === '..') steps.push((values) => values.flatMap(everything));
      if (dots[2] === '*') steps.push((values) => values.flatMap(children));
      else if (dots[2]) steps.push(field(dots[2].replace(/\\(.)/g, '$1')));
      else if (dots[1] === '.' && rest && !rest.startsWith('[')) return undefined;
      continue;
    }
    const step = inBrackets(bracket![1]!.trim());
    if (!step) return undefined;
    steps.push(step);
  }
  return (object) => steps.reduce<unknown[]>((values, step) => step(values), [object]);
}

function inBrackets(text: string): Step | undefined {
  if (text === '*') return (values) => values.flatMap(children);
  const quoted = /^(['"])(.*)\1$/s.exec(text);
  if (quoted && !/^(['"]).*\1\s*,/s.test(text)) return field(quoted[2]!.replace(/\\(.)/g, '$1'));
  const filter = /^\?\(\s*@((?:\.[\w-]+)+)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*\)$/s.exec(text);
  if (filter) return filterOf(filter[1]!, filter[2], filter[3]);
  if (!/^[-\d:]+$/.test(text)) return undefined;
  const [from, to, step] = text.split(':').map((part) => (part === '' ? undefined : Number(part)));
  if (!text.includes(':'))
    return (values) =>
      values.flatMap((value) => (Array.isArray(value) && value.at(from!) !== undefined ? [value.at(from!)] : []));
  return (values) =>
    values.flatMap((value) =>
      Array.isArray(value)
        ? (value as unknown[]).slice(from ?? 0, to).filter((_, index) => index % (step || 1) === 0)
        : [],
    );
}

function filterOf(path: string, operator: string | undefined, literal: string | undefined): Step {
  const read = compilePath(path)!;
  const wanted = literal === undefined ? undefined : literalOf(literal);
  const holds = (element: unknown): boolean => {
    const found = read(element);
    if (operator === undefined) return found.length > 0;
    if (found.length === 0) return false;
    const value = found[0] as string | number;
    const other = wanted as string | number;
    switch (operator) {
      case '==':
        return value === other;
      case '!=':
        return value !== other;
      case '<':
        return value < other;
      case '>':
        return value > other;
      case '<=':
        return value <= other;
      default:
        return value >= other;
    }
  };
  return (values) => values.flatMap((value) => children(value).filter(holds));
}
function literalOf(text: string): unknown {
  const quoted = /^(['"])(.*)\1$/s.exec(text.trim());
  if (quoted) return quoted[2];
  if (text === 'true' || text === 'false') return text === 'true';
  return text === 'null' ? null : Number(text);
}
