import { breakingChanges, type DefinitionObject } from '../host/crd-changes.ts';
import type { PluginManifest } from '../host/manifest.ts';

export type Bump = 'none' | 'patch' | 'minor' | 'major';
const ranks: readonly Bump[] = ['none', 'patch', 'minor', 'major'];
type Compared = Pick<PluginManifest, 'version' | 'resources' | 'needs' | 'provides' | 'config' | 'files'>;

/** What the version must grow by after these changes, with the reasons for the largest step. Pure. */
export function neededBump(former: Compared, next: Compared): { readonly bump: Bump; readonly why: readonly string[] } {
  const found: { bump: Bump; why: string }[] = [];
  const say = (bump: Bump, why: string): void => void found.push({ bump, why });
  compareKinds(former, next, say);
  for (const [resource, verbs] of Object.entries(next.needs)) {
    const more = verbs.filter((verb) => !former.needs[resource]?.includes(verb));
    if (more.length > 0) say('minor', `it needs more: ${resource}: ${more.join(', ')}`);
  }
  if (!Bun.deepEquals(former.provides, next.provides)) say('minor', 'it registers other things');
  compareConfig(former, next, say);
  if (!Bun.deepEquals(former.files, next.files)) say('patch', 'its program differs');
  const bump = ranks[Math.max(0, ...found.map((one) => ranks.indexOf(one.bump)))]!;
  return { bump, why: found.filter((one) => one.bump === bump).map(({ why }) => why) };
}

function compareKinds(former: Compared, next: Compared, say: (bump: Bump, why: string) => void): void {
  for (const definition of former.resources) {
    const { name } = definition.metadata;
    const after = next.resources.find(({ metadata }) => metadata.name === name);
    if (!after) {
      say('major', `${name} is removed`);
      continue;
    }
    const changes = breakingChanges(definition as DefinitionObject, after as DefinitionObject);
    for (const change of changes) say('major', `${name}: ${change}`);
    if (changes.length === 0 && !Bun.deepEquals(definition, after)) say('minor', `${name} grows`);
  }
  for (const { metadata } of next.resources)
    if (!former.resources.some((one) => one.metadata.name === metadata.name)) say('minor', `${metadata.name} is new`);
}

function compareConfig(former: Compared, next: Compared, say: (bump: Bump, why: string) => void): void {
  if (Bun.deepEquals(former.config, next.config)) return;
  const asDefinition = (schema: PluginManifest['config']): DefinitionObject =>
    ({
      metadata: { name: 'config' },
      spec: {
        scope: '',
        names: { kind: '' },
        versions: [{ name: 'config', schema: { openAPIV3Schema: schema ?? { type: 'object' } } }],
      },
    }) as never;
  const changes = breakingChanges(asDefinition(former.config), asDefinition(next.config));
  for (const change of changes) say('major', change);
  if (changes.length === 0) say('minor', 'its configuration grows');
}

/** How far one version is from another; `none` when it is not newer. Below 1.0.0 a minor step may break. Pure. */
export function bumpBetween(former: string, next: string): Bump {
  if (Bun.semver.order(next, former) <= 0) return 'none';
  const [major = 0, minor = 0] = former.split('.').map(Number);
  const [nextMajor = 0, nextMinor = 0] = next.split('.').map(Number);
  if (nextMajor > major) return 'major';
  if (nextMinor > minor) return major === 0 ? 'major' : 'minor';
  return major === 0 ? 'minor' : 'patch';
}
export const suffices = (made: Bump, needed: Bump): boolean => ranks.indexOf(made) >= ranks.indexOf(needed);
