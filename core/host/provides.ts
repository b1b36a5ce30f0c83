import type { Contributions, Plugin } from '#sdk';
import type { Provides } from './manifest.ts';

/** What a plugin registered, by name. Pure. */
export function providesOf({ controllers, validators, mutators, scheduling }: Contributions): Provides {
  const named = (list: readonly { resource: NonNullable<Plugin['resources']>[number] }[]) =>
    [...new Set(list.map(({ resource: { kind } }) => `${kind.plural}.${kind.group}`))].sort();
  return {
    controllers: controllers.map(({ name }) => name).sort(),
    validates: named(validators),
    mutates: named(mutators),
    schedules: scheduling.map(({ name }) => name).sort(),
  };
}

/** Names that were registered but not declared, such as `controller cron-crontasks`. Pure. */
export const undeclared = (declared: Provides, registered: Provides): string[] =>
  (Object.keys(declared) as (keyof Provides)[]).flatMap((point) =>
    (registered[point] ?? [])
      .filter((name) => !declared[point].includes(name))
      .map((name) => `${words[point]} ${name}`),
  );
const words: Readonly<Record<keyof Provides, string>> = {
  controllers: 'controller',
  validates: 'validate hook for',
  mutates: 'mutate hook for',
  schedules: 'scheduling rule',
};

/** Hooks are called by the API server through the host: that way is not built. Until it is, this is said, not hidden. Pure. */
export const uncarried = ({ validates, mutates, schedules }: Provides): string[] => [
  ...validates.map((name) => `${words.validates} ${name}`),
  ...mutates.map((name) => `${words.mutates} ${name}`),
  ...schedules.map((name) => `${words.schedules} ${name}`),
];
