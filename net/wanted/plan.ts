import { createHash } from 'node:crypto';
import type { NetworkWork, WorkLink } from './list.ts';
import { sameText } from './ranges.ts';

/** Whose work it is: tells backends, clusters and hosts of one machine apart. */
export interface WorkOwner {
  /** Such as `CLUSTER/NODE/PLUGIN/BACKEND`. */
  readonly id: string;
}
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
/** What its devices begin with. */
export const devicePrefix = ({ id }: WorkOwner): string => `pp${digest(id).toString('hex').slice(0, 7)}`;
/** 14 characters at most, of the 15 that the kernel takes. */
export const deviceName = (owner: WorkOwner, link: string): string => devicePrefix(owner) + link;
/** Its routes are known by it: 100 to 149 are nobody's in iproute2's list. */
export const routeProtocol = ({ id }: WorkOwner): number => 100 + (digest(id)[7]! % 50);
export const tableName = ({ id }: WorkOwner): string => `pintle_work_${digest(id).toString('hex').slice(0, 12)}`;
/** The same for the same link, so that what other hosts were told stays right when it is made anew. */
export const macOf = ({ id }: WorkOwner, link: string): string =>
  ['0a', ...digest(`${id} ${link}`).toString('hex').slice(0, 10).match(/../g)!].join(':');

/** What the machine has of one owner; `ip -j` and `bridge -j`, read. */
export interface ObservedWork {
  readonly links: readonly ObservedLink[];
  /** `DEVICE ADDRESS/BITS` */
  readonly addresses: readonly string[];
  readonly routes: readonly ObservedRoute[];
  /** `DEVICE IP MAC` */
  readonly neighbours: readonly string[];
  /** `DEVICE MAC ENDPOINT` */
  readonly forwarding: readonly string[];
}
export interface ObservedLink {
  readonly device: string;
  readonly kind: string;
  readonly mac: string;
  readonly mtuBytes: number;
  readonly isUp: boolean;
  readonly vni?: number;
  readonly port?: number;
  readonly local?: string;
}
export interface ObservedRoute {
  readonly to: string;
  readonly device?: string;
  readonly via?: string;
}
/** Lines for `ip -batch` and `bridge -batch`, in this order: what goes, then what comes. Every word was checked. */
export interface WorkPlan {
  readonly ip: readonly string[];
  readonly bridge: readonly string[];
}
export interface PlanScope {
  readonly owner: WorkOwner;
  /** Of this host, in the underlay. */
  readonly endpoint: string;
  readonly underlayMtuBytes: number;
  /** What is there and not wanted stays. */
  readonly keepsRest?: boolean;
}
// Outer Ethernet 14 + UDP 8 + VXLAN 8, and the outer IP header.
const vxlanBytes = (endpoint: string): number => 30 + (endpoint.includes(':') ? 40 : 20);

/** Pure: from what is and what is wanted to what has to be done. WireGuard devices are made elsewhere. */
export function planWork(work: NetworkWork, observed: ObservedWork, scope: PlanScope): WorkPlan {
  const { owner, keepsRest = false } = scope;
  const change = (wanted: readonly string[], is: readonly string[]) => changeOf(wanted, is, keepsRest);
  const device = (link: string): string => deviceName(owner, link);
  const { lines: links, fresh } = planLinks(work.links ?? [], observed.links, scope);
  // A device that is made anew has lost all that it had.
  const still = (name: string | undefined): boolean => name === undefined || !fresh.has(name);
  const had = (list: readonly string[]): string[] => list.filter((one) => still(one.split(' ')[0]));
  const addresses = change(
    (work.addresses ?? []).map(({ link, address }) => `${device(link)} ${sameText(address)}`),
    had(observed.addresses),
  );
  const neighbours = change(
    (work.neighbours ?? []).map(({ link, ip, mac }) => `${device(link)} ${bare(ip)} ${mac}`),
    had(observed.neighbours),
  );
  const forwarding = change(
    (work.forwarding ?? []).map(({ link, mac, to }) => `${device(link)} ${mac} ${bare(to)}`),
    had(observed.forwarding),
  );
  const routes = change(
    (work.routes ?? []).map(({ to, link, via }) =>
      [sameText(to), link === undefined ? '-' : device(link), via === undefined ? '-' : bare(via)].join(' '),
    ),
    observed.routes
      .filter((one) => still(one.device))
      .map(({ to, device: name = '-', via = '-' }) => [sameText(to), name, via === '-' ? via : bare(via)].join(' ')),
  );
  const protocol = `proto ${routeProtocol(owner)}`;
  const routeWords = (text: string): string => {
    const [to, name, via] = text.split(' ') as [string, string, string];
    const through = [...(via === '-' ? [] : ['via', via]), ...(name === '-' ? [] : ['dev', name])];
    return [to, ...through, ...(via !== '-' && name !== '-' ? ['onlink'] : []), protocol].join(' ');
  };
  const pair = (text: string): string => {
    const [name, address] = text.split(' ') as [string, string];
    return `${address} dev ${name}`;
  };
  const taken = new Set(routes.added.map((text) => text.split(' ')[0]));
  return {
    ip: [
      // A route that only changes is replaced in place: no packet finds none.
      ...routes.removed.filter((text) => !taken.has(text.split(' ')[0])).map((text) => `route del ${routeWords(text)}`),
      ...neighbours.removed.map((text) => `neigh del ${pair(text)}`),
      ...addresses.removed.map((text) => `addr del ${pair(text)}`),
      ...links,
      ...addresses.added.map((text) => `addr replace ${pair(text)}${text.includes(':') ? ' nodad' : ''}`),
      ...neighbours.added.map((text) => {
        const [name, ip, mac] = text.split(' ');
        return `neigh replace ${ip} lladdr ${mac} dev ${name} nud permanent`;
      }),
      ...routes.added.map((text) => `route replace ${routeWords(text)}`),
    ],
    bridge: [
      ...forwarding.removed.map((text) => fdb('del', text)),
      ...forwarding.added.map((text) => fdb('replace', text)),
    ],
  };
}
const fdb = (verb: 'del' | 'replace', text: string): string => {
  const [name, mac, to] = text.split(' ');
  return `fdb ${verb} ${mac} dev ${name} dst ${to} self${verb === 'replace' ? ' permanent' : ''}`;
};
/** An address without its length, in its one spelling. */
const bare = (ip: string): string => sameText(ip).split('/')[0]!;

function planLinks(wanted: readonly WorkLink[], observed: readonly ObservedLink[], scope: PlanScope) {
  const lines: string[] = [];
  const fresh = new Set<string>();
  const names = new Set(wanted.map(({ name }) => deviceName(scope.owner, name)));
  for (const { device } of observed) if (!names.has(device) && !scope.keepsRest) lines.push(`link del ${device}`);
  for (const link of wanted) {
    if (link.type !== 'vxlan') continue;
    const device = deviceName(scope.owner, link.name);
    const mac = macOf(scope.owner, link.name);
    const mtu = link.mtuBytes ?? scope.underlayMtuBytes - vxlanBytes(scope.endpoint);
    const there = observed.find((one) => one.device === device);
    const same =
      there?.kind === 'vxlan' &&
      there.vni === link.vni &&
      there.port === link.port &&
      there.mac === mac &&
      sameText(there.local ?? '') === sameText(scope.endpoint);
    if (there && !same) lines.push(`link del ${device}`);
    if (!same) {
      fresh.add(device);
      lines.push(
        `link add ${device} mtu ${mtu} address ${mac} type vxlan id ${link.vni} dstport ${link.port} local ${bare(scope.endpoint)} nolearning`,
      );
    } else if (there.mtuBytes !== mtu) lines.push(`link set ${device} mtu ${mtu}`);
    if (!same || !there.isUp) lines.push(`link set ${device} up`);
  }
  return { lines, fresh };
}

function changeOf(wanted: readonly string[], observed: readonly string[], keepsRest: boolean) {
  const [is, shall] = [new Set(observed), new Set(wanted)];
  return {
    added: [...shall].filter((one) => !is.has(one)),
    removed: keepsRest ? [] : [...is].filter((one) => !shall.has(one)),
  };
}

/** A table of its own for packets that are not to pass; empty without any. */
export function dropTable(owner: WorkOwner, drops: NonNullable<NetworkWork['drops']>): string {
  const name = tableName(owner);
  const gone = `add table inet ${name}\ndelete table inet ${name}\n`;
  if (drops.length === 0) return gone;
  const family = (range: string): 'ip' | 'ip6' => (range.includes(':') ? 'ip6' : 'ip');
  const groups = (['from', 'to'] as const).flatMap((direction) =>
    (['ip', 'ip6'] as const).map((kind) => ({
      set: `${direction}_${kind}`,
      kind,
      match: `${kind} ${direction === 'from' ? 'saddr' : 'daddr'}`,
      ranges: [
        ...new Set(
          drops
            .filter((one) => one.direction === direction && family(one.range) === kind)
            .map(({ range }) => sameText(range)),
        ),
      ],
    })),
  );
  const used = groups.filter(({ ranges }) => ranges.length > 0);
  const sets = used.map(
    ({ set, kind, ranges }) =>
      `  set ${set} {\n    type ${kind === 'ip' ? 'ipv4_addr' : 'ipv6_addr'}\n    flags interval\n    auto-merge\n    elements = { ${ranges.join(', ')} }\n  }\n`,
  );
  const rules = used.map(({ set, match }) => `    ${match} @${set} drop\n`);
  return `${gone}table inet ${name} {\n${sets.join('')}  chain forward {\n    type filter hook forward priority -10; policy accept;\n${rules.join('')}  }\n}\n`;
}
