import { join } from 'node:path';
import { PintleError } from '#base';
import { type Bundle, readBundle } from './bundle.ts';
import { configMistakes } from './config-check.ts';
import type { PluginSpec } from './kind.ts';
import { type Isolation, isWeaker, type PluginManifest } from './manifest.ts';
import { ownKinds, unapproved } from './rbac.ts';
import { StepError } from './status.ts';
import type { VersionHost } from './version.ts';

/** Who stands between people and the API needs the right to. */
const doorkeepers = [
  {
    point: 'authenticators',
    reason: 'AuthenticatorNotApproved',
    does: 'says who has a token',
    need: 'tokenreviews.authentication.k8s.io',
  },
  {
    point: 'authorizers',
    reason: 'AuthorizerNotApproved',
    does: 'refuses requests of others',
    need: 'subjectaccessreviews.authorization.k8s.io',
  },
] as const;

export const bundleFolder = (folder: string, name: string, digest: string): string =>
  join(folder, name, 'bundles', digest.replace(/^sha256:/, ''));

/** The bundle with this digest from the host's store, every file of it as it was built. Throws StepError Verified. */
export async function verified(
  { folder, files, source }: Pick<VersionHost, 'folder' | 'files' | 'source'>,
  name: string,
  digest: string,
): Promise<Bundle> {
  if (source) return source.bundle(name, digest);
  try {
    const bundle = await readBundle(bundleFolder(folder, name, digest), files, digest);
    if (bundle.manifest.name === name) return bundle;
    throw new StepError('Verified', 'OtherName', `the bundle is of plugin ${bundle.manifest.name}`);
  } catch (error) {
    if (!(error instanceof PintleError)) throw error;
    throw new StepError('Verified', error.code === 'BUNDLE_MODIFIED' ? 'Modified' : 'NoBundle', error.message);
  }
}

/** The level it runs at. Throws StepError Approved for needs that are not approved, a weaker level than it asks for, and a configuration that its schema refuses. */
export function approved({ manifest }: Bundle, { approvedNeeds = {}, isolation, config = {} }: PluginSpec): Isolation {
  const missing = unapproved(manifest.needs, approvedNeeds);
  if (missing.length > 0)
    throw new StepError('Approved', 'NeedsNotApproved', `spec.approvedNeeds lacks ${missing.join('; ')}`);
  for (const { point, reason, does, need } of doorkeepers) {
    const names = manifest.provides[point] ?? [];
    if (names.length > 0 && !approvedNeeds[need]?.includes('create'))
      throw new StepError('Approved', reason, `it ${does} (${names.join(', ')}): that needs ${need}: create, approved`);
  }
  const foreign = foreignHooks(manifest).filter(({ target, verb }) => !approvedNeeds[target]?.includes(verb));
  if (foreign.length > 0)
    throw new StepError(
      'Approved',
      'HookNotApproved',
      `spec.approvedNeeds lacks ${foreign.map(({ target, verb }) => `${target}: ${verb}`).join('; ')}`,
    );
  if (isolation !== undefined && isWeaker(isolation, manifest.isolation))
    throw new StepError(
      'Approved',
      'WeakerIsolation',
      `spec.isolation may raise the level of the manifest (${manifest.isolation}), not lower it`,
    );
  const mistakes = configMistakes(manifest.config, config);
  if (mistakes.length > 0) throw new StepError('Approved', 'BadConfig', mistakes.join('; '));
  return isolation ?? manifest.isolation;
}

/** Hooks on kinds that are not its own: each is a right. Pure. */
function foreignHooks({ provides, resources }: PluginManifest): { target: string; verb: 'validate' | 'mutate' }[] {
  const own = new Set(ownKinds({ resources }).map(({ plural, group }) => `${plural}.${group}`));
  const of = (verb: 'validate' | 'mutate', targets: readonly string[] = []) =>
    targets.filter((target) => !own.has(target)).map((target) => ({ target, verb }));
  return [
    ...of('validate', provides.validates),
    ...of('validate', provides.deletes),
    ...of('mutate', provides.mutates),
  ];
}
