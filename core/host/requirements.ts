import { isReason } from '#api';
import { PintleError } from '#base';
import { type PluginObject, pluginKind } from './kind.ts';
import type { PluginManifest } from './manifest.ts';
import { startOrder } from './order.ts';
import { StepError } from './status.ts';
import { verified } from './verify.ts';
import type { VersionHost } from './version.ts';

const reasons = {
  missing: 'RequirementMissing',
  waits: 'RequirementNotReady',
  cycle: 'RequirementCycle',
  conflict: 'Conflict',
} as const;
const pluginsMax = 100;
/** When to look again for what stands in the way; undefined: it is nothing that others do. */
export const lookAgainMs = (failure: StepError | undefined): number | undefined => failure && waits.get(failure.reason);
const waits = new Map<string, number>([
  [reasons.waits, 500],
  [reasons.missing, 2_000],
  [reasons.cycle, 2_000],
  [reasons.conflict, 2_000],
]);

interface Asked {
  readonly name: string;
  readonly requires: readonly string[];
}
/** Everything that this plugin requires is installed and runs. Throws StepError Resolved: a circle with its path, what is missing, what is waited for. */
export async function requirementsMet(
  host: Pick<VersionHost, 'client' | 'folder' | 'files' | 'source'>,
  { name, requires }: Asked,
  runs: (plugin: Readonly<PluginObject>) => boolean,
): Promise<void> {
  if (requires.length === 0) return;
  const objects = new Map<string, Readonly<PluginObject>>();
  const found: Asked[] = [{ name, requires }];
  for (let at = 0; at < found.length && found.length <= pluginsMax; at++)
    for (const required of found[at]!.requires) {
      if (found.some((one) => one.name === required)) continue;
      const object = await objectOf(host, required);
      if (!object) continue;
      objects.set(required, object);
      found.push({ name: required, requires: await requiredBy(host, object) });
    }
  try {
    startOrder(found);
  } catch (error) {
    if (error instanceof PintleError) throw new StepError('Resolved', reasons.cycle, error.message, false);
    throw error;
  }
  const missing = requires.filter((one) => !objects.has(one));
  if (missing.length > 0)
    throw new StepError('Resolved', reasons.missing, `it requires ${missing.join(', ')}: not installed`, false);
  const waiting = requires.filter((one) => !runs(objects.get(one)!));
  if (waiting.length > 0)
    throw new StepError('Resolved', reasons.waits, `it requires ${waiting.join(', ')}: not active yet`, false);
}

type Relations = Pick<PluginManifest, 'name' | 'conflicts' | 'replaces'>;
/**
 * Nothing runs that this plugin must not run beside, whichever of the two says so. Of two that nobody has started yet the
 * older one goes first. Throws StepError Resolved.
 */
export async function noConflict(
  host: Parameters<typeof requirementsMet>[0],
  manifest: Relations,
  runs: (plugin: Readonly<PluginObject>) => boolean,
): Promise<void> {
  const { items } = await host.client.list(pluginKind);
  const age = ({ metadata }: Readonly<PluginObject>) => `${metadata.creationTimestamp} ${metadata.name}`;
  const own = items.find(({ metadata }) => metadata.name === manifest.name);
  for (const one of items.slice(0, pluginsMax)) {
    if (one === own || (!runs(one) && !isAhead(one))) continue;
    const other = one.metadata.name!;
    if (manifest.replaces?.includes(other))
      throw new StepError(
        'Resolved',
        reasons.conflict,
        `it replaces ${other}, which is installed: uninstall ${other} (its objects stay) or pause it`,
        false,
      );
    if (manifest.conflicts?.includes(other) || (await relationsOf(host, one)).includes(manifest.name))
      throw new StepError(
        'Resolved',
        reasons.conflict,
        `it conflicts with ${other}, which is installed: uninstall or pause one of the two`,
        false,
      );
  }

  function isAhead(one: Readonly<PluginObject>): boolean {
    const isOut = one.spec?.paused || one.metadata.deletionTimestamp !== undefined;
    return !isOut && (manifest.replaces?.includes(one.metadata.name!) || !own || age(one) < age(own));
  }
}
const relationsOf = (
  host: Parameters<typeof verified>[0],
  { metadata, spec }: Readonly<PluginObject>,
): Promise<readonly string[]> =>
  verified(host, metadata.name!, spec!.digest).then(
    ({ manifest: { conflicts = [], replaces = [] } }) => [...conflicts, ...replaces],
    () => [],
  );

async function objectOf({ client }: Pick<VersionHost, 'client'>, name: string) {
  try {
    return await client.get(pluginKind, { name });
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}
/** A bundle that cannot be read requires nothing: why it does not run is told with its own plugin. */
const requiredBy = (
  host: Parameters<typeof verified>[0],
  { metadata, spec }: Readonly<PluginObject>,
): Promise<readonly string[]> =>
  verified(host, metadata.name!, spec!.digest).then(
    ({ manifest }) => manifest.requires,
    () => [],
  );
