import { isIPv4, isIPv6 } from 'node:net';
import type { Endpoint, EndpointPort, EndpointSlice, Endpoints, KubeObject } from '#api';

/** Beyond so many of a subset the rest is left out, as upstream has it. */
export const mirroredMax = 1_000;

type Slice = Pick<EndpointSlice, 'addressType' | 'ports' | 'endpoints'>;
export interface MirrorPlan {
  readonly create: readonly Slice[];
  readonly update: readonly { readonly slice: Readonly<EndpointSlice & KubeObject>; readonly next: Slice }[];
  readonly remove: readonly Readonly<EndpointSlice & KubeObject>[];
  /** Addresses that cannot be mirrored, and how many were left out. */
  readonly invalid: readonly string[];
  readonly leftOut: number;
}

/** Slices that say what hand-written Endpoints say: one for each address family of each set of ports. Pure. */
export function planMirror(
  endpoints: Readonly<Endpoints> | undefined,
  existing: readonly Readonly<EndpointSlice & KubeObject>[],
): MirrorPlan {
  const { wanted, invalid, leftOut } = slicesOf(endpoints);
  const free = new Map<string, Readonly<EndpointSlice & KubeObject>[]>();
  for (const slice of existing) free.set(keyOf(slice), [...(free.get(keyOf(slice)) ?? []), slice]);
  const [create, update]: [Slice[], { slice: Readonly<EndpointSlice & KubeObject>; next: Slice }[]] = [[], []];
  for (const [key, next] of wanted) {
    const slice = free.get(key)?.shift();
    if (!slice) create.push(next);
    else if (!Bun.deepEquals(slice.endpoints ?? [], next.endpoints)) update.push({ slice, next });
  }
  return { create, update, remove: [...free.values()].flat(), invalid, leftOut };
}

function slicesOf(endpoints: Readonly<Endpoints> | undefined) {
  const wanted = new Map<string, Slice>();
  const invalid: string[] = [];
  let leftOut = 0;
  for (const { addresses, notReadyAddresses, ports } of endpoints?.subsets ?? []) {
    const all = [
      ...(addresses ?? []).map((address) => ({ address, ready: true })),
      ...(notReadyAddresses ?? []).map((address) => ({ address, ready: false })),
    ];
    leftOut += Math.max(0, all.length - mirroredMax);
    for (const { address, ready } of all.slice(0, mirroredMax)) {
      const { ip, hostname, nodeName, targetRef } = address;
      const addressType = isIPv4(ip) ? 'IPv4' : isIPv6(ip) ? 'IPv6' : undefined;
      if (!addressType) {
        invalid.push(ip);
        continue;
      }
      const slice = { addressType, ports: (ports ?? []).map(portOf), endpoints: [] as Endpoint[] };
      const key = keyOf(slice);
      const known = wanted.get(key) ?? slice;
      wanted.set(key, known);
      const more = { ...(hostname && { hostname }), ...(nodeName && { nodeName }), ...(targetRef && { targetRef }) };
      known.endpoints!.push({ addresses: [ip], conditions: { ready }, ...more });
    }
  }
  return { wanted, invalid, leftOut };
}

/** As the API server completes it. */
const portOf = ({ name = '', port, protocol = 'TCP', appProtocol }: EndpointPort): EndpointPort => ({
  name,
  port,
  protocol,
  ...(appProtocol && { appProtocol }),
});
const keyOf = ({ addressType, ports }: Pick<EndpointSlice, 'addressType' | 'ports'>): string =>
  `${addressType} ${(ports ?? [])
    .map(({ name, port, protocol, appProtocol }) => [name ?? '', port, protocol ?? 'TCP', appProtocol ?? ''].join('/'))
    .sort()
    .join()}`;
