import type { Cable, CableEnd, Place, Underlay } from './plan.ts';

/** The commands of an underlay as text: pure, so that tests can read them. */

/** A namespace carries this once everything in it is made: what a crash left half made is made anew. */
export const completeMark = 'pintle lab complete';

/** For `ip -batch` on the machine. */
export const cableBatch = (cables: readonly Cable[], mtuBytes: number): string =>
  lines(
    cables.map(([a, b]) => {
      const end = ({ link, netns }: CableEnd) => `${link} mtu ${mtuBytes}${netns ? ` netns ${netns}` : ''}`;
      return `link add ${end(a)} type veth peer name ${end(b)}`;
    }),
  );

/** For `ip -batch` within a namespace, or on the machine where `place` is absent: after the cables' links are there. */
export function placeBatch(
  place: Place | undefined,
  ends: readonly CableEnd[],
  extraRoutes: Place['routes'] = [],
): string {
  return lines([
    ...(place ? ['link set dev lo up'] : []),
    ...(place?.bridges ?? []).flatMap(({ name, addresses }) => [
      `link add ${name} type bridge`,
      ...addresses.map((address) => addressCommand(name, address)),
      `link set dev ${name} up`,
    ]),
    ...ends.flatMap(endCommands),
    ...[...(place?.routes ?? []), ...extraRoutes].map(({ to, via }) => `route replace ${to} via ${via}`),
    ...(place ? [`link set dev lo alias "${completeMark}"`] : []),
  ]);
}

/** Into a place that is complete: the port of a host that was plugged in again. */
export const endBatch = (ends: readonly CableEnd[]): string => lines(ends.flatMap(endCommands));

const endCommands = ({ link, bridge, addresses }: CableEnd): string[] => [
  ...(bridge ? [`link set dev ${link} master ${bridge}`] : []),
  ...addresses.map((address) => addressCommand(link, address)),
  `link set dev ${link} up`,
];
/** Nobody else is on these links: an IPv6 address need not be asked for first. */
const addressCommand = (link: string, address: string): string =>
  address.includes(':')
    ? `address replace ${address} dev ${link} nodad`
    : `address replace ${address} brd + dev ${link}`;
const lines = (commands: readonly string[]): string => commands.map((line) => `${line}\n`).join('');

export const forwardingSysctls: readonly string[] = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'];

/** For `nft -f` within a router that hides its host. */
export const masqueradeTable = (link: string): string => `table ip pintle_lab
delete table ip pintle_lab
table ip pintle_lab {
	chain out {
		type nat hook postrouting priority 100; policy accept;
		oifname "${link}" masquerade
	}
	chain in {
		type filter hook forward priority 0; policy accept;
		iifname "${link}" ct state new,invalid drop
	}
}
`;

export const outsideTableName = (id: string): string => `pintle_lab_${id}`;
/** For `nft -f` on the machine: what hosts send to elsewhere leaves with the machine's address. */
export function outsideTable({ spec, outside }: Underlay): string {
  const name = outsideTableName(spec.id);
  return `table ip ${name}
delete table ip ${name}
table ip ${name} {
	chain out {
		type nat hook postrouting priority 100; policy accept;
		ip saddr ${spec.block.cidr} oifname != "${outside.link}" masquerade
	}
}
`;
}
