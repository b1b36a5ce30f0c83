import { sha256Of } from './bundle.ts';
import type { KnownVersion, PluginObject, PluginSpec } from './kind.ts';

/** What was asked for was given up on a node: every node runs `to` in its place, until something else is asked for. */
export interface Rollback {
  /** Of what was given up: as attemptOf says. */
  readonly of: string;
  readonly to: KnownVersion;
  readonly why: string;
}
const whyLengthMax = 512;

/** Tells one attempt from the next; where it runs, and whether it is paused, make no other one. Pure. */
export const attemptOf = ({ digest, config, approvedNeeds, isolation }: PluginSpec): string =>
  sha256Of(JSON.stringify([digest, config, approvedNeeds, isolation])).slice(0, 16);

/** In force: it is about what is asked for now. Pure. */
export const rollbackOf = ({ spec, status }: Readonly<PluginObject>): Rollback | undefined =>
  status?.rollback && status.rollback.of === attemptOf(spec!) ? status.rollback : undefined;

/** What a node is to run. Pure. */
export function wantedOn(plugin: Readonly<PluginObject>): PluginSpec {
  const to = rollbackOf(plugin)?.to;
  return to ? { ...plugin.spec!, ...to, approvedNeeds: to.approvedNeeds ?? {} } : plugin.spec!;
}

/**
 * While an upgrade goes from node to node, and for its probation after that, one node on which the new version does badly
 * brings the former one back to all. Pure.
 */
export function afterNodes(
  { spec, status, metadata }: Readonly<PluginObject>,
  expected: readonly string[],
  nowMs: number,
): Rollback | undefined {
  const { probation, lastGood, nodes = [] } = status ?? {};
  const isWatched = probation !== undefined && nowMs < Date.parse(probation.until);
  const isOnItsWay = lastGood !== undefined && lastGood.digest !== spec!.digest;
  const to = isOnItsWay ? lastGood : isWatched ? probation.fallback : undefined;
  if (!to || to.digest === spec!.digest) return undefined;
  const bad = nodes.find(
    ({ name, gaveUp, observedGeneration }) =>
      expected.includes(name) && gaveUp === spec!.digest && observedGeneration >= (metadata.generation ?? 1),
  );
  if (!bad) return undefined;
  const said = (bad.message ?? bad.phase).replace(/^\S+ was given up: /, '').replace(/; \S+ goes on$/, '');
  const why = `on ${bad.name}: ${said}`.slice(0, whyLengthMax);
  return { of: attemptOf(spec!), to, why };
}
