import type { Backend } from '#net/service-proxy';
import type { EndpointSlice } from '../api/gen/types.ts';

export interface NodeFacts {
  readonly name: string;
  /** Its label topology.kubernetes.io/zone. */
  readonly zone?: string;
  readonly addresses?: readonly string[];
}
export interface Candidate {
  readonly backend: Backend;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

/** Endpoints of one port in the slices of one family, sorted. Only the first address of an endpoint counts. */
export function candidatesOf(
  slices: readonly Readonly<EndpointSlice>[],
  port: { readonly name: string; readonly protocol: string },
  addressType: string,
  nodeName: string,
): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const slice of slices) {
    if (slice.addressType !== addressType) continue;
    for (const { name = '', protocol = 'TCP', port: number } of slice.ports ?? []) {
      if (name !== port.name || protocol !== port.protocol || !number) continue;
      for (const { addresses, conditions, hints, nodeName: host } of slice.endpoints ?? []) {
        const ip = addresses[0];
        if (ip === undefined) continue;
        const { ready = true, serving = true, terminating = false } = conditions ?? {};
        const key = `${ip} ${number}`;
        // Two pods may have an address for a moment, or one endpoint two slices: who goes on living is meant.
        if (found.has(key) && terminating) continue;
        const zones = (hints?.forZones ?? []).map((one) => one.name);
        const nodes = (hints?.forNodes ?? []).map((one) => one.name);
        const backend = { ip, port: number, local: host !== undefined && host === nodeName };
        found.set(key, { backend, ready, serving, terminating, zones, nodes });
      }
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, candidate]) => candidate);
}

/** Who stands by while nobody is ready, so that a roll-out drops nothing. */
const isLastResort = ({ ready, serving, terminating }: Candidate): boolean => !ready && serving && terminating;
/** Ready ones; when there is none, those that still serve while they terminate. */
function usable(candidates: readonly Candidate[]): Candidate[] {
  const ready = candidates.filter((one) => one.ready);
  return ready.length > 0 ? ready : candidates.filter(isLastResort);
}

export interface Choices {
  readonly cluster: readonly Backend[];
  /** On this host. */
  readonly local: readonly Backend[];
  readonly hasAny: boolean;
}
/** Where a service leads to under each policy. Hints count if all ready endpoints have them and one is for here. Pure. */
export function choicesOf(candidates: readonly Candidate[], node: NodeFacts): Choices {
  const all = usable(candidates);
  const local = usable(candidates.filter(({ backend }) => backend.local));
  return { cluster: backendsOf(hinted(all, node)), local: backendsOf(local), hasAny: all.length > 0 };
}
const backendsOf = (candidates: readonly Candidate[]): Backend[] => candidates.map(({ backend }) => backend);

function hinted(usable: readonly Candidate[], { name, zone }: NodeFacts): readonly Candidate[] {
  if (usable.some(({ ready }) => !ready)) return usable;
  const near = (of: (one: Candidate) => readonly string[], here: string | undefined): readonly Candidate[] => {
    if (here === undefined || usable.some((one) => of(one).length === 0)) return [];
    return usable.filter((one) => of(one).includes(here));
  };
  const onNode = near((one) => one.nodes, name);
  if (onNode.length > 0) return onNode;
  const inZone = near((one) => one.zones, zone);
  return inZone.length > 0 ? inZone : usable;
}
