import { type EndpointSlice, endpointSliceKind, isReason, type KubeObject, keyOf } from '#api';
import type { Client } from '#client';

type SliceObject = EndpointSlice & KubeObject;

/** Writes what differs between the slices that somebody owns and those that he wants. Rejects with StatusError. */
export async function bringSlices(
  client: Client,
  current: readonly Readonly<SliceObject>[],
  wanted: readonly SliceObject[],
): Promise<void> {
  for (const slice of wanted) {
    const former = current.find(({ metadata }) => metadata.name === slice.metadata.name);
    if (!former) await client.create(endpointSliceKind, slice);
    else if (!Bun.deepEquals(former.endpoints, slice.endpoints) || !Bun.deepEquals(former.ports, slice.ports))
      await client.update(endpointSliceKind, { ...former, endpoints: slice.endpoints, ports: slice.ports });
  }
  for (const slice of current)
    if (!wanted.some(({ metadata }) => metadata.name === slice.metadata.name))
      await client.delete(endpointSliceKind, keyOf(slice)).catch((error: unknown) => {
        if (!isReason(error, 'NotFound')) throw error;
      });
}
