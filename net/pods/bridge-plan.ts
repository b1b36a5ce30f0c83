import { macOfIp, netnsReference, vethName } from '../link/names.ts';
import type { HostPort } from '../pod.ts';
import type { AddressRecord, RangeShape } from './addresses.ts';
import { type Family, familyOf } from './ranges.ts';

/** The commands of the bridge network as text: pure, so that tests can read them. */
export interface BridgeShape {
  readonly bridge: string;
  readonly ranges: readonly RangeShape[];
  readonly mtuBytes: number;
  readonly tableName: string;
  /** Of the whole cluster: traffic between these is never masqueraded. */
  readonly podRanges: readonly string[];
  readonly serviceRanges: readonly string[];
}
const isDual = (shape: BridgeShape) => shape.ranges.some(({ family }) => family === 6);
/** Where pods have no IPv6 they have no link-local addresses either: those would pass by every rule about addresses. */
const addressMode = (shape: BridgeShape) => (isDual(shape) ? 'eui64' : 'none');
const addressLine = ({ family, prefix }: RangeShape, ip: string, device: string) =>
  `address replace ${ip}/${prefix} ${family === 4 ? 'brd +' : 'nodad'} dev ${device}`;

/** For `ip -batch` on the host, after the bridge exists. */
export const bridgeBatch = (shape: BridgeShape): string =>
  [
    `link set dev ${shape.bridge} address ${macOfIp(shape.ranges[0]!.gateway)} mtu ${shape.mtuBytes}`,
    `link set dev ${shape.bridge} addrgenmode ${addressMode(shape)}`,
    ...shape.ranges.map((range) => addressLine(range, range.gateway, shape.bridge)),
    `link set dev ${shape.bridge} up`,
    '',
  ].join('\n');

/** For `ip -batch` on the host: the pair, one end already in the pod. */
export function hostBatch(shape: BridgeShape, podUid: string, netnsPath: string): string {
  const veth = vethName(podUid);
  return [
    `link add ${veth} mtu ${shape.mtuBytes} type veth peer name eth0 mtu ${shape.mtuBytes} netns ${netnsReference(netnsPath)}`,
    `link set dev ${veth} addrgenmode none`,
    `link set dev ${veth} master ${shape.bridge} up`,
    `link set dev ${veth} type bridge_slave hairpin on`, // a pod reaches itself through its service
    '',
  ].join('\n');
}

/** For `ip -batch` inside the pod. */
export function podBatch(shape: BridgeShape, ips: readonly string[]): string {
  const own = shape.ranges.flatMap((range) =>
    ips.filter((ip) => familyOf(ip) === range.family).map((ip) => ({ range, ip })),
  );
  return [
    'link set dev lo up',
    `link set dev eth0 address ${macOfIp(ips[0]!)}`,
    `link set dev eth0 addrgenmode ${addressMode(shape)}`,
    ...own.map(({ range, ip }) => addressLine(range, ip, 'eth0')),
    'link set dev eth0 up',
    ...own.map(({ range }) => `route replace default via ${range.gateway} dev eth0`),
    '',
  ].join('\n');
}

/** Settings of the kernel, for `sysctl -w`. */
export const hostSettings = (shape: BridgeShape): string[] =>
  shape.ranges.flatMap(({ family }) =>
    family === 4
      ? ['net.ipv4.ip_forward=1', `net/ipv4/conf/${shape.bridge}/route_localnet=1`]
      : ['net.ipv6.conf.all.forwarding=1', `net/ipv6/conf/${shape.bridge}/disable_ipv6=0`],
  );

/** On every address of the host, or on this one alone. */
export const hostIpOf = (port: HostPort): string | undefined =>
  port.hostIp && port.hostIp !== '0.0.0.0' && port.hostIp !== '::' ? port.hostIp : undefined;
/** The families of a port: that of its address, or all. */
const hasFamily = (port: HostPort, family: Family) => !port.hostIp || familyOf(port.hostIp) === family;
const mapNames = ['host_ports', 'host_ip_ports'] as const;
const mapOf = (port: HostPort): (typeof mapNames)[number] => (hostIpOf(port) ? 'host_ip_ports' : 'host_ports');
const portKey = (port: HostPort) =>
  [...(hostIpOf(port) ? [hostIpOf(port)] : []), port.protocol, port.hostPort].join(' . ');
const tableFamily = (family: Family) => (family === 4 ? 'ip' : 'ip6');

/** Elements of one map for one pod: of its address of that family, if it has one. */
function portElements(verb: 'add' | 'delete', record: AddressRecord, family: Family, map: string): string[] {
  const ip = record.ips.find((each) => familyOf(each) === family);
  return record.hostPorts
    .filter((port) => ip !== undefined && mapOf(port) === map && hasFamily(port, family))
    .map((port) => (verb === 'add' ? `${portKey(port)} : ${ip} . ${port.podPort}` : portKey(port)));
}

/** For `nft -f`: one pod's host ports come or go. Empty when it has none. */
export function hostPortCommands(verb: 'add' | 'delete', shape: BridgeShape, record: AddressRecord): string {
  return shape.ranges
    .flatMap(({ family }) =>
      mapNames.map((map) => {
        const elements = portElements(verb, record, family, map);
        const place = `${tableFamily(family)} ${shape.tableName} ${map}`;
        return elements.length ? `${verb} element ${place} { ${elements.join(', ')} }\n` : '';
      }),
    )
    .join('');
}

/**
 * The tables of all families, replaced in one transaction. `seesBridged`: what one pod of the bridge sends to another passes
 * the host's rules on its way back too, so that a service need not hide who asks.
 */
export const nftTables = (shape: BridgeShape, records: readonly AddressRecord[], seesBridged = false): string =>
  shape.ranges.map((range) => nftTable(shape, range, records, seesBridged)).join('');

/**
 * Programs of the host reach host ports at 127.0.0.1 too: the bridge routes such packets for that (route_localnet), and
 * the guard keeps pods from reaching the host's loopback by the same door. The kernel has no such door for ::1.
 */
function nftTable(
  shape: BridgeShape,
  range: RangeShape,
  records: readonly AddressRecord[],
  seesBridged: boolean,
): string {
  const { family, cidr } = range;
  const four = family === 4;
  const ip = tableFamily(family);
  const type = four ? 'ipv4_addr' : 'ipv6_addr';
  const ofFamily = (cidrs: readonly string[]) => cidrs.filter((each) => familyOf(each) === family);
  const inside = [...new Set([cidr, ...ofFamily(shape.podRanges), ...ofFamily(shape.serviceRanges)])].join(', ');
  const elementsOf = (map: (typeof mapNames)[number]) => {
    const elements = records.flatMap((record) => portElements('add', record, family, map));
    return elements.length ? `    elements = { ${elements.join(', ')} }\n` : '';
  };
  const translate = `fib daddr type local dnat ${ip} to meta l4proto . th dport map @host_ports`;
  const translateOne = `dnat ${ip} to ${ip} daddr . meta l4proto . th dport map @host_ip_ports`;
  const loopback = four ? '127.0.0.0/8' : '::1';
  const ofHostPorts = seesBridged ? `ct original ${ip} daddr != @inside ` : ''; // a pod may reach itself by its own
  const many = four ? '224.0.0.0/4' : 'ff00::/8';
  return `table ${ip} ${shape.tableName}
delete table ${ip} ${shape.tableName}
table ${ip} ${shape.tableName} {
  set inside {
    type ${type}
    flags interval
    auto-merge
    elements = { ${inside} }
  }
  map host_ports {
    type inet_proto . inet_service : ${type} . inet_service
${elementsOf('host_ports')}  }
  map host_ip_ports {
    type ${type} . inet_proto . inet_service : ${type} . inet_service
${elementsOf('host_ip_ports')}  }
  chain guard {
    type filter hook prerouting priority -300; policy accept;
    iifname "${shape.bridge}" ${ip} daddr ${loopback} drop
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    ${translateOne}
    ${translate}
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ${translateOne}
    ${translate}
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ${ip} saddr ${loopback} oifname "${shape.bridge}" masquerade
    ct status dnat ${ofHostPorts}${ip} saddr ${cidr} ${ip} daddr ${cidr} oifname "${shape.bridge}" masquerade
    ${ip} saddr ${cidr} ${ip} daddr != @inside ${ip} daddr != ${many} oifname != "${shape.bridge}" masquerade
  }
}
`;
}

const queueMs = 50; // longer, and senders think of congestion
const burstBytesMin = 65_536; // one large segment, as the stack hands it over before it is cut
/** For `tc`: no more than this many bits a second leave the device. */
export function shapingArguments(device: string, bitsPerSecond: number): string[] {
  const burst = Math.max(burstBytesMin, Math.ceil(bitsPerSecond / 8 / 50)); // 20 ms worth
  const tbf = ['rate', `${Math.floor(bitsPerSecond)}bit`, 'burst', `${burst}b`, 'latency', `${queueMs}ms`];
  return ['tc', 'qdisc', 'replace', 'dev', device, 'root', 'tbf', ...tbf];
}
