import { type Contributions, type HookedKind, resourceName, restName } from '#sdk';
import { hookPoints, type NodePoint, nodePoints, type Provides, providesPoints } from './manifest.ts';

/** What a plugin registered, by name. Pure. */
export function providesOf(found: Contributions, metrics: readonly { name: string }[] = []): Provides {
  const named = (list: readonly { resource: Pick<HookedKind, 'kind'> }[]) =>
    [...new Set(list.map(({ resource }) => resourceName(resource)))].sort();
  const names = (list: readonly { name: string }[]) => list.map(({ name }) => name).sort();
  const converting = found.resources.filter(({ convert }) => convert).map((resource) => ({ resource }));
  const all: Required<Provides> = {
    controllers: names(found.controllers),
    validates: named(found.validators),
    mutates: named(found.mutators),
    schedules: names(found.scheduling),
    deletes: named(found.validators.filter(({ on }) => on.includes('DELETE'))),
    converts: named(converting),
    apis: found.apis.map(restName).sort(),
    authenticators: names(found.authenticators),
    authorizers: names(found.authorizers),
    metrics: names(metrics),
    commands: names(found.commands),
    panels: names(found.panels),
    networks: names(found.networks),
    proxies: names(found.proxies),
    runtimes: names(found.runtimes),
    volumes: names(found.volumes),
  };
  // The four that every manifest has, and what there is of the others.
  return Object.fromEntries(
    providesPoints.flatMap((point, index) => (index < 4 || all[point].length > 0 ? [[point, all[point]]] : [])),
  ) as unknown as Provides;
}

/** Names that were registered but not declared, such as `controller cron-crontasks`. Pure. */
export const undeclared = (declared: Provides, registered: Provides): string[] =>
  providesPoints.flatMap((point) =>
    (registered[point] ?? [])
      .filter((name) => !(declared[point] ?? []).includes(name))
      .map((name) => `${words[point]} ${name}`),
  );
const words: Readonly<Record<keyof Provides, string>> = {
  controllers: 'controller',
  validates: 'validate hook for',
  mutates: 'mutate hook for',
  schedules: 'scheduling rule',
  deletes: 'validate hook for deletions of',
  converts: 'conversion of',
  apis: 'API',
  authenticators: 'authenticator',
  authorizers: 'authorizer',
  metrics: 'metric',
  commands: 'command',
  panels: 'panel',
  networks: 'network backend',
  proxies: 'service proxy',
  runtimes: 'container runtime',
  volumes: 'volume driver',
};

/** Something that its host asks it for. Pure. */
export const hasHooks = (provides: Provides): boolean =>
  [...hookPoints, ...nodePoints].some((point) => (provides[point] ?? []).length > 0);
/** What it does on nodes beside what its account may, in words for who installs it. Pure. */
export const nodePowers = (provides: Provides): string[] =>
  nodePoints.flatMap((point) => (provides[point] ?? []).map((name) => `${words[point]} ${name}: ${powers[point]}`));
const powers: Readonly<Record<NodePoint, string>> = {
  networks: 'says how packets of pods reach other hosts',
  proxies: 'says where traffic to services goes',
  runtimes: 'runs containers, and sees their environment and files',
  volumes: 'keeps what pods write to its volumes',
};
export const pointWord = (point: keyof Provides): string => words[point];
