import { type World, world } from './world.ts';

/** What a store holds that others may begin with. */
export type StoreImage = readonly { readonly key: string; readonly value: Uint8Array }[];

/**
 * The state of a fresh cluster without nodes: what the apiserver and the controllers make at their first start. Worlds that
 * begin with it need not make it again, which is most of their work.
 */
export async function freshImage(options: { readonly schema?: World['options']['schema'] } = {}): Promise<StoreImage> {
  await using w = await world({ ...options, seed: 0, nodes: 0, events: false });
  await w.settle();
  w.mustBeSound();
  const { entries } = await w.disk.inner.list('/registry/');
  return entries.map(({ key, value }) => ({ key, value }));
}
