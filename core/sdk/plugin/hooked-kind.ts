import { apiVersionOf, type Kind, type KubeObject } from '#api';
import { PintleError } from '#base';
import type { CustomResource } from './crd.ts';
import { type HookVerb, isUnhookedGroup, type Needs, unhookedKinds } from './needs.ts';
import type { Plugin } from './plugin.ts';
import { viewOf } from './resources.ts';

/** A kind whose writes a plugin is asked about: its own, or one of others that `needs` names with the hook's verb. */
export interface HookedKind extends Pick<CustomResource, 'convert'> {
  readonly kind: Kind<KubeObject>;
  read(object: Readonly<KubeObject>): unknown;
  /** Of others: handed on in the version it is written in. */
  readonly asWritten?: boolean;
}

/** Of others. Throws PLUGIN_UNDECLARED where `needs` does not say so, and for kinds of the platform that no hook is asked about. */
export function hookedKind(
  plugin: Plugin,
  name: string,
  verb: HookVerb,
  kindOf: (name: string) => Kind<KubeObject>,
): HookedKind {
  const refuse = (why: string, next: string): never => {
    throw new PintleError('PLUGIN_UNDECLARED', `plugin ${plugin.name}: ${why}`, next);
  };
  if (isUnhooked(name))
    refuse(`no plugin is asked about ${name}: they are the platform's own`, `take away ${verb}("${name}")`);
  const { [name]: verbs = [] } = (plugin.needs ?? {}) as Needs & Record<string, readonly string[]>;
  if (!verbs.includes(verb))
    refuse(`${verb}("${name}") is not among its needs`, `add it to needs: { "${name}": ["${verb}"] }`);
  return { kind: kindOf(name), read: viewOf, asWritten: true };
}
/** Pure. */
export function isUnhooked(name: string): boolean {
  const dot = name.indexOf('.');
  return dot < 0 ? (unhookedKinds as readonly string[]).includes(name) : isUnhookedGroup(name.slice(dot + 1));
}

/** `crontasks.cron.example.com`, `pods`. */
export const resourceName = ({ kind: { plural, group } }: Pick<HookedKind, 'kind'>): string =>
  group ? `${plural}.${group}` : plural;
export const writtenVersion = ({ kind }: Pick<HookedKind, 'kind'>): string => apiVersionOf(kind);
