import { addressIn, type Block, prefixOf } from './block.ts';

/** `flat`: one segment. `routed`: a segment per host and a router. `nat`: the first host is public, each other one behind a router of its own that masquerades. */
export type UnderlayKind = 'flat' | 'routed' | 'nat';
export const underlayKinds: readonly UnderlayKind[] = ['flat', 'routed', 'nat'];
export interface UnderlaySpec {
  /** Eight hex digits; names the namespaces and the link to the machine. */
  readonly id: string;
  readonly kind: UnderlayKind;
  /** Hosts are numbered from 1. */
  readonly hosts: number;
  readonly block: Block;
  readonly mtuBytes: number;
}
/** The end of a cable: a link in a namespace (absent: the machine's own), in a bridge of that namespace or with addresses. */
export interface CableEnd {
  readonly netns?: string;
  readonly link: string;
  readonly bridge?: string;
  /** With prefix lengths. */
  readonly addresses: readonly string[];
}
export type Cable = readonly [CableEnd, CableEnd];
/** What a namespace holds beside the ends of its cables. */
export interface Place {
  readonly netns: string;
  readonly bridges: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly routes: readonly { readonly to: string; readonly via: string }[];
  readonly forwards: boolean;
  /** The link whose packets leave with its own address; nothing comes in there unasked. */
  readonly masquerades?: string;
}
export interface UnderlayHost {
  readonly name: string;
  readonly netns: string;
  /** Its own addresses, without a prefix. */
  readonly address: string;
  readonly address6?: string;
  /** What the others see it as. */
  readonly seenAs: string;
  /** Its cable's end in the middle, and the bridge there that it is in. */
  readonly port: string;
  readonly segment: string;
}
export interface Underlay {
  readonly spec: UnderlaySpec;
  /** The namespace in the middle: switch or router. */
  readonly middle: string;
  readonly places: readonly Place[];
  readonly cables: readonly Cable[];
  readonly hosts: readonly UnderlayHost[];
  /** The machine's own end, through which people reach the first host, and hosts reach registries. */
  readonly outside: {
    readonly link: string;
    readonly port: string;
    readonly address: string;
    readonly routes: Place['routes'];
  };
}

export const hostsMax = 31; // a /24 of the block for each host, and one for the middle
export const hostName = (index: number): string => `h${index}`;
const netnsOf = (id: string, name: string): string => `pl${id}-${name}`;
/** The prefix of every namespace of a lab. */
export const netnsPrefix = (id: string): string => netnsOf(id, '');
const middleBridge = 'br0';
const outsidePort = 'out';

/** Everything between the hosts: namespaces, cables, addresses, routes. Pure; the same spec gives the same plan. */
export function planUnderlay(spec: UnderlaySpec): Underlay {
  if (!/^[0-9a-f]{8}$/.test(spec.id)) throw new Error(`${spec.id} is no id of eight hex digits`);
  if (!Number.isInteger(spec.hosts) || spec.hosts < 1 || spec.hosts > hostsMax)
    throw new Error(`${spec.hosts} hosts: 1 to ${hostsMax} are possible`);
  return planners[spec.kind](spec);
}

const numbers = (spec: UnderlaySpec): number[] => Array.from({ length: spec.hosts }, (_unused, index) => index + 1);
const both = (block: Block, segment: number, host: number): string[] => [
  `${addressIn(block, segment, host)}/24`,
  `${prefixOf(block, segment)}${host}/64`,
];
const defaultVia = (...gateways: (string | undefined)[]): Place['routes'] =>
  gateways.filter((via) => via !== undefined).map((via) => ({ to: via.includes(':') ? '::/0' : '0.0.0.0/0', via }));
const plainHost = (netns: string, routes: Place['routes']): Place => ({ netns, bridges: [], routes, forwards: false });
const outsideLink = (id: string): string => `pl${id}`;
/** The host's number on a segment that it shares. */
const shared = (index: number): number => 10 + index;
const alone = 10;

const planners: Record<UnderlayKind, (spec: UnderlaySpec) => Underlay> = {
  flat(spec) {
    const { id, block } = spec;
    const middle = netnsOf(id, 'net');
    const hosts = numbers(spec).map((index) => sharedHost(spec, index));
    const gateways = defaultVia(addressIn(block, 0, 1), `${prefixOf(block, 0)}1`);
    return {
      spec,
      middle,
      hosts,
      places: [switchPlace(middle), ...hosts.map((host) => plainHost(host.netns, gateways))],
      cables: [
        outsideCable(spec, middle),
        ...hosts.map((host, at): Cable => hostCable(host, middle, both(block, 0, shared(at + 1)))),
      ],
      outside: outsideOf(spec, []),
    };
  },

  routed(spec) {
    const { id, block } = spec;
    const middle = netnsOf(id, 'net');
    const hosts = numbers(spec).map((index): UnderlayHost => {
      const address = addressIn(block, index, alone);
      const name = hostName(index);
      const address6 = `${prefixOf(block, index)}${alone}`;
      return {
        name,
        netns: netnsOf(id, name),
        address,
        address6,
        seenAs: address,
        port: name,
        segment: `s${index}`,
      };
    });
    const router: Place = {
      netns: middle,
      bridges: hosts.map((host, at) => ({ name: host.segment, addresses: both(block, at + 1, 1) })),
      routes: defaultVia(addressIn(block, 0, 1), `${prefixOf(block, 0)}1`),
      forwards: true,
    };
    return {
      spec,
      middle,
      hosts,
      places: [
        router,
        ...hosts.map((host, at) =>
          plainHost(host.netns, defaultVia(addressIn(block, at + 1, 1), `${prefixOf(block, at + 1)}1`)),
        ),
      ],
      cables: [
        [
          { link: outsideLink(id), addresses: both(block, 0, 1) },
          { netns: middle, link: outsidePort, addresses: both(block, 0, 2) },
        ],
        ...hosts.map((host, at): Cable => hostCable(host, middle, both(block, at + 1, alone))),
      ],
      outside: outsideOf(spec, [
        { to: block.cidr, via: addressIn(block, 0, 2) },
        { to: block.cidr6, via: `${prefixOf(block, 0)}2` },
      ]),
    };
  },

  nat(spec) {
    const { id, block } = spec;
    const middle = netnsOf(id, 'net');
    const [first, ...behind] = numbers(spec);
    const open = sharedHost(spec, first!);
    const hidden = behind.map((index) => hiddenHost(spec, index, middle));
    return {
      spec,
      middle,
      hosts: [open, ...hidden.map(({ host }) => host)],
      places: [
        switchPlace(middle),
        plainHost(open.netns, defaultVia(addressIn(block, 0, 1), `${prefixOf(block, 0)}1`)),
        ...hidden.flatMap(({ places }) => places),
      ],
      cables: [
        outsideCable(spec, middle),
        hostCable(open, middle, both(block, 0, shared(first!))),
        ...hidden.flatMap(({ cables }) => cables),
      ],
      outside: outsideOf(spec, []),
    };
  },
};

/** Behind its own router, as in a flat of somebody: IPv4 alone. */
function hiddenHost(spec: UnderlaySpec, index: number, middle: string) {
  const { id, block } = spec;
  const router = netnsOf(id, `r${index}`);
  const wan = addressIn(block, 0, shared(index));
  const name = hostName(index);
  const host: UnderlayHost = {
    name,
    netns: netnsOf(id, name),
    address: addressIn(block, index, alone),
    seenAs: wan,
    port: `r${index}`,
    segment: middleBridge,
  };
  const lan = `${addressIn(block, index, 1)}/24`;
  const places: Place[] = [
    { ...plainHost(router, defaultVia(addressIn(block, 0, 1))), forwards: true, masquerades: 'wan' },
    plainHost(host.netns, defaultVia(addressIn(block, index, 1))),
  ];
  const cables: Cable[] = [
    [
      { netns: router, link: 'wan', addresses: [`${wan}/24`] },
      { netns: middle, link: host.port, bridge: middleBridge, addresses: [] },
    ],
    [
      { netns: host.netns, link: 'eth0', addresses: [`${host.address}/24`] },
      { netns: router, link: 'lan', addresses: [lan] },
    ],
  ];
  return { host, places, cables };
}

function sharedHost({ id, block }: UnderlaySpec, index: number): UnderlayHost {
  const name = hostName(index);
  const address = addressIn(block, 0, shared(index));
  return {
    name,
    netns: netnsOf(id, name),
    address,
    address6: `${prefixOf(block, 0)}${shared(index)}`,
    seenAs: address,
    port: name,
    segment: middleBridge,
  };
}
const switchPlace = (netns: string): Place => ({
  netns,
  bridges: [{ name: middleBridge, addresses: [] }],
  routes: [],
  forwards: false,
});
const hostCable = (host: UnderlayHost, middle: string, addresses: readonly string[]): Cable => [
  { netns: host.netns, link: 'eth0', addresses },
  { netns: middle, link: host.port, bridge: host.segment, addresses: [] },
];
const outsideCable = ({ id, block }: UnderlaySpec, middle: string): Cable => [
  { link: outsideLink(id), addresses: both(block, 0, 1) },
  { netns: middle, link: outsidePort, bridge: middleBridge, addresses: [] },
];
const outsideOf = ({ id, block }: UnderlaySpec, routes: Place['routes']): Underlay['outside'] => ({
  link: outsideLink(id),
  port: outsidePort,
  address: addressIn(block, 0, 1),
  routes,
});
