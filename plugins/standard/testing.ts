import { onOneHost } from '../../core/cmd/catalog.ts';
import { worldWith } from '../../core/testing/author/harness.ts';
import { catalog } from './catalog.ts';

export type {
  AuthorWorld as PluginWorld,
  AuthorWorldOptions as WorldOptions,
} from '../../core/testing/author/author-world.ts';

/** `pintle/sdk/testing`: custom resources and the workload kinds, on virtual time. */
export const world = worldWith(onOneHost(catalog).filter(({ name }) => ['crd', 'apps'].includes(name)));
