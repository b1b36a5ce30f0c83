import type { Catalog } from '../../core/cmd/catalog.ts';

/** The distribution: every built-in plugin, in order. None exists yet. */
export const catalog: Catalog = [];
