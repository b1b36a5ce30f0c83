/** One line of the distribution's list (plugins/standard/catalog.ts). The host that loads plugins comes with the plugin issue. */
export interface CatalogEntry {
  readonly name: string;
  readonly enabled: boolean;
}
export type Catalog = readonly CatalogEntry[];
