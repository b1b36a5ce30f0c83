import type { BuiltinPlugin } from '../host/parts.ts';
import { type Config, isSeveralHosts } from './home.ts';

/** `several-hosts`: with `server` and on the hosts that joined it, not in a cluster of one host. */
export type Enabled = boolean | 'several-hosts';
/** The distribution's list (plugins/standard/catalog.ts): a line for each plugin that runs in the components' processes. */
export type Catalog = readonly (Omit<BuiltinPlugin, 'enabled'> & { readonly enabled: Enabled })[];

/** Whether a plugin runs in a cluster: what --enable and --disable said, else as the distribution has it. */
export const isEnabled = (enabled: Enabled, name: string, config: Config): boolean =>
  config.plugins?.[name] ?? (enabled === 'several-hosts' ? isSeveralHosts(config) : enabled);

/** The plugins that run in this cluster, each with its final word. */
export const enabledIn = (catalog: Catalog, config: Config): BuiltinPlugin[] =>
  catalog.map((one) => ({ ...one, enabled: isEnabled(one.enabled, one.name, config) }));

/** The plugins of a cluster of one host. */
export const onOneHost = (catalog: Catalog): BuiltinPlugin[] =>
  catalog.map((one) => ({ ...one, enabled: one.enabled === true }));
