import type { BuiltinPlugin } from '../host/parts.ts';

/** The distribution's list (plugins/standard/catalog.ts): a line for each plugin that runs in the components' processes. */
export type Catalog = readonly BuiltinPlugin[];
