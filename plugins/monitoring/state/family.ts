import { type AnyKind, type KubeObject, parseNano, type Reader } from '#sdk';

/** One metric of a kind's objects, under the name that kube-state-metrics gave it. */
export interface Family<T> {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  /** Beside those that every metric of the kind has. */
  readonly labels: readonly string[];
  samples(object: Readonly<T>): readonly Sample[];
}
/** The values of the family's labels, in order, and the number. */
export type Sample = readonly [labels: readonly string[], value: number];
export interface Families<T> {
  /** `pods`, `deployments.apps`. */
  readonly resource: string;
  readonly labels: readonly string[];
  labelsOf(object: Readonly<T>): readonly string[];
  readonly families: readonly Family<T>[];
}

export const family =
  <T>() =>
  (
    name: string,
    help: string,
    labels: readonly string[],
    samples: (object: Readonly<T>) => readonly Sample[],
    type: 'gauge' | 'counter' = 'gauge',
  ): Family<T> => ({ name, help, type, labels, samples });

/** A number, or nothing. */
export const one = (value: number | undefined | null): Sample[] =>
  value === undefined || value === null || Number.isNaN(value) ? [] : [[[], value]];
export const seconds = (time: string | Date | undefined | null): number | undefined =>
  time ? Math.floor(new Date(time).getTime() / 1000) : undefined;
export const flag = (is: boolean | undefined): number => (is ? 1 : 0);
/** One sample for each of the words, 1 for the one that holds. */
export const oneOf = (words: readonly string[], word: string | undefined): Sample[] =>
  words.map((each) => [[each], flag(each === word)]);

/** By resource, with its unit, as kube-state-metrics names both. */
export function resourceSamples(quantities: Readonly<Record<string, unknown>> | undefined): Sample[] {
  return Object.entries(quantities ?? {}).flatMap(([name, quantity]): Sample[] => {
    const value = quantityNumber(quantity);
    const unit = name === 'cpu' ? 'core' : /memory|storage|hugepages/.test(name) ? 'byte' : 'integer';
    return value === undefined ? [] : [[[name.replaceAll(/[-./]/g, '_'), unit], value]];
  });
}
function quantityNumber(quantity: unknown): number | undefined {
  const nano = parseNano(String(quantity));
  return nano === undefined ? undefined : Number(nano) / 1e9;
}

/** The status of each condition: three samples, 1 for the one that holds. */
export const conditionSamples = (
  conditions: readonly { readonly type?: string; readonly status?: string }[] | null | undefined,
): Sample[] =>
  (conditions ?? []).flatMap(({ type = '', status = '' }) =>
    ['true', 'false', 'unknown'].map((each): Sample => [[type, each], flag(each === status.toLowerCase())]),
  );

const escaped = (text: string): string =>
  /[\\"\n]/.test(text) ? text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : text;

const resourceOf = ({ group, plural }: AnyKind): string => (group ? `${plural}.${group}` : plural);

/** The page in pieces of at most `pieceChars` and a line, so that its reader may let others have their turn between. */
export function* pageOf(
  tables: readonly Families<KubeObject>[],
  kinds: readonly AnyKind[],
  reader: Pick<Reader, 'list'>,
  pieceChars = 65_536,
): Generator<string> {
  let piece = '';
  const byName = new Map(kinds.map((kind) => [resourceOf(kind), kind]));
  for (const { resource, labels, labelsOf, families } of tables) {
    const kind = byName.get(resource);
    if (!kind) continue; // its plugin is not enabled
    const objects = reader.list(kind).map((object) => ({
      object,
      prefix: labelsOf(object)
        .map((value, index) => `${labels[index]}="${escaped(value)}"`)
        .join(','),
    }));
    for (const { name, help, type, labels: own, samples } of families) {
      piece += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
      for (const { object, prefix } of objects) {
        for (const [values, value] of samples(object)) {
          let text = prefix;
          for (let index = 0; index < own.length; index++) text += `,${own[index]}="${escaped(values[index] ?? '')}"`;
          piece += `${name}{${text}} ${value}\n`;
        }
        if (piece.length < pieceChars) continue;
        yield piece;
        piece = '';
      }
    }
  }
  if (piece) yield piece;
}
