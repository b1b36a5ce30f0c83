import { type Condition, type Definition, isTrue } from './kind.ts';

type Names = NonNullable<NonNullable<Definition['status']>['acceptedNames']>;
export interface Accepted {
  readonly names: Names;
  readonly condition: Condition;
}

/** What is remembered of every definition, beside its schemas. */
export interface Neighbour {
  readonly name: string;
  readonly group: string;
  readonly names: Names | undefined;
  readonly isAccepted: boolean;
}
export const neighbourOf = (definition: Readonly<Definition>): Neighbour => ({
  name: definition.metadata.name!,
  group: definition.spec.group,
  names: definition.status?.acceptedNames && structuredClone(definition.status.acceptedNames),
  isAccepted: isTrue(definition, 'NamesAccepted'),
});

/** Which of the wanted names this definition gets: one that somebody else in the group has stays his. */
export function acceptNames(definition: Readonly<Definition>, others: Iterable<Neighbour>): Accepted {
  const { group, names: wanted } = definition.spec;
  const had: Names = definition.status?.acceptedNames ?? { kind: '', plural: '' };
  const neighbours = [...others]
    .filter((other) => other.group === group && other.name !== definition.metadata.name)
    .map((other) => other.names);
  const resources = new Set(
    neighbours.flatMap((names) => [names?.plural, names?.singular, ...(names?.shortNames ?? [])]),
  );
  const kinds = new Set(neighbours.flatMap((names) => [names?.kind, names?.listKind]));
  const conflicts: { readonly reason: string; readonly message: string }[] = [];
  const take = <T extends string | undefined>(asked: T, mine: T, taken: Set<string | undefined>, reason: string): T => {
    if (asked === mine || !taken.has(asked)) return asked;
    conflicts.push({ reason, message: inUse(asked) });
    return mine;
  };
  const plural = take(wanted.plural, had.plural, resources, 'PluralConflict');
  const singular = take(wanted.singular, had.singular, resources, 'SingularConflict');
  const lost = (wanted.shortNames ?? []).filter((name) => !had.shortNames?.includes(name) && resources.has(name));
  if (lost.length > 0)
    conflicts.push({
      reason: 'ShortNamesConflict',
      message: lost.length === 1 ? inUse(lost[0]) : `[${lost.map(inUse).join(', ')}]`,
    });
  const kind = take(wanted.kind, had.kind, kinds, 'KindConflict');
  const listKind = take(wanted.listKind, had.listKind, kinds, 'ListKindConflict');
  const last = conflicts.at(-1); // as upstream: the one found last is told
  const shortNames = lost.length > 0 ? had.shortNames : wanted.shortNames;
  return {
    names: {
      plural,
      kind,
      ...(singular ? { singular } : {}),
      ...(listKind ? { listKind } : {}),
      ...(shortNames?.length ? { shortNames } : {}),
      ...(wanted.categories?.length ? { categories: wanted.categories } : {}),
    },
    condition: {
      type: 'NamesAccepted',
      ...(last
        ? { status: 'False', ...last }
        : { status: 'True', reason: 'NoConflicts', message: 'no conflicts found' }),
    },
  };
}
const inUse = (name: string | undefined): string => `${JSON.stringify(name ?? '')} is already in use`;
