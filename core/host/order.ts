import { PintleError } from '#base';

export interface Dependent {
  readonly name: string;
  /** Names of others that must run before. */
  readonly requires?: readonly string[];
}

/**
 * Everything in an order where each comes after what it requires, otherwise as given. Pure.
 * Throws PLUGIN_CYCLE with the path. A requirement that is not in the list is no edge: the host reports it when it starts.
 */
export function startOrder<T extends Dependent>(all: readonly T[]): T[] {
  const byName = new Map(all.map((one) => [one.name, one]));
  const done = new Set<string>();
  const order: T[] = [];
  const visit = (one: T, path: readonly string[]): void => {
    if (done.has(one.name)) return;
    const start = path.indexOf(one.name);
    if (start >= 0) {
      const cycle = [...path.slice(start), one.name].join(' → ');
      throw new PintleError(
        'PLUGIN_CYCLE',
        `plugins require each other in a circle: ${cycle}`,
        'remove one of these requirements, or uninstall one of the plugins',
      );
    }
    for (const name of one.requires ?? []) {
      const required = byName.get(name);
      if (required) visit(required, [...path, one.name]);
    }
    done.add(one.name);
    order.push(one);
  };
  for (const one of all) visit(one, []);
  return order;
}
