import type { Pod } from '#api';
import type { CycleState, NodeInfo, SchedulerPlugin } from '#sdk';

const mebibyte = 1024 * 1024;
const [leastBytes, mostBytesEach] = [23 * mebibyte, 1000 * mebibyte];
const name = 'ImageLocality';

/** A name without a tag means `latest`, as the engine reads it. */
function normalized(image: string): string {
  return image.lastIndexOf(':') <= image.lastIndexOf('/') ? `${image}:latest` : image;
}
const imagesOf = (pod: Readonly<Pod>): string[] =>
  [
    ...[...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].map((one) => one.image ?? ''),
    ...(pod.spec?.volumes ?? []).flatMap((volume) => volume.image?.reference ?? []),
  ].map(normalized);

/** Kept with the node's info, which is made anew when the node changes. */
const sizes = new WeakMap<NodeInfo, ReadonlyMap<string, number>>();
function sizesOn(info: NodeInfo): ReadonlyMap<string, number> {
  let known = sizes.get(info);
  if (!known) {
    const listed = (info.node.status?.images ?? []).flatMap((image) =>
      (image.names ?? []).map((one) => [normalized(one), image.sizeBytes ?? 0] as const),
    );
    sizes.set(info, (known = new Map(listed)));
  }
  return known;
}

/** Prefers nodes that hold the pod's images, by size and by how many nodes hold them, so that one node does not draw all. */
export const imageLocality: SchedulerPlugin = {
  name,
  preScore(pod, _fitting, state: CycleState) {
    const images = imagesOf(pod);
    const holders = new Map<string, number>();
    for (const image of new Set(images))
      holders.set(image, state.nodes.filter((info) => sizesOn(info).has(image)).length / state.nodes.length);
    state.data.set(name, { images, holders });
  },
  score(_pod, info, state) {
    const { images, holders } = state.data.get(name) as { images: string[]; holders: Map<string, number> };
    const here = sizesOn(info);
    const bytes = images.reduce((sum, one) => sum + Math.trunc((here.get(one) ?? 0) * (holders.get(one) ?? 0)), 0);
    const most = mostBytesEach * images.length;
    const held = Math.min(Math.max(bytes, leastBytes), most);
    return most <= leastBytes ? 0 : Math.trunc((100 * (held - leastBytes)) / (most - leastBytes));
  },
};
