import { macOfIp, netnsReference, vethName } from '../link/names.ts';
import type { HostPort } from '../pod.ts';
import type { AddressRecord } from './addresses.ts';

/** The commands of the bridge network as text: pure, so that tests can read them. */
export interface BridgeShape {
  readonly bridge: string;
  readonly subnet: string;
  readonly gateway: string;
  readonly prefix: number;
  readonly mtuBytes: number;
  readonly tableName: string;
  /** Of the whole cluster: traffic between these is never masqueraded. */
  readonly podRanges: readonly string[];
  readonly serviceRanges: readonly string[];
}

/** For `ip -batch` on the host, after the bridge exists. */
export const bridgeBatch = (shape: BridgeShape): string =>
  [
    `link set dev ${shape.bridge} address ${macOfIp(shape.gateway)} mtu ${shape.mtuBytes}`,
    `address replace ${shape.gateway}/${shape.prefix} brd + dev ${shape.bridge}`,
    `link set dev ${shape.bridge} up`,
    '',
  ].join('\n');

/** For `ip -batch` on the host: the pair, one end already in the pod. */
export function hostBatch(shape: BridgeShape, podUid: string, netnsPath: string): string {
  const veth = vethName(podUid);
  return [
    `link add ${veth} mtu ${shape.mtuBytes} type veth peer name eth0 mtu ${shape.mtuBytes} netns ${netnsReference(netnsPath)}`,
    `link set dev ${veth} master ${shape.bridge} up`,
    `link set dev ${veth} type bridge_slave hairpin on`, // a pod reaches itself through its service
    '',
  ].join('\n');
}

/** For `ip -batch` inside the pod. */
export const podBatch = (shape: BridgeShape, ip: string): string =>
  [
    'link set dev lo up',
    `link set dev eth0 address ${macOfIp(ip)}`,
    `address replace ${ip}/${shape.prefix} brd + dev eth0`,
    'link set dev eth0 up',
    `route replace default via ${shape.gateway} dev eth0`,
    '',
  ].join('\n');

/** On every address of the host, or on this one alone. */
export const hostIpOf = (port: HostPort): string | undefined =>
  port.hostIp && port.hostIp !== '0.0.0.0' ? port.hostIp : undefined;
const mapNames = ['host_ports', 'host_ip_ports'] as const;
const mapOf = (port: HostPort): (typeof mapNames)[number] => (hostIpOf(port) ? 'host_ip_ports' : 'host_ports');
const portKey = (port: HostPort) =>
  [...(hostIpOf(port) ? [hostIpOf(port)] : []), port.protocol, port.hostPort].join(' . ');
const portElement = (record: AddressRecord, port: HostPort) => `${portKey(port)} : ${record.ip} . ${port.podPort}`;

/** For `nft -f`: one pod's host ports come or go. Empty when it has none. */
export function hostPortCommands(verb: 'add' | 'delete', tableName: string, record: AddressRecord): string {
  return mapNames
    .map((map) => {
      const ports = record.hostPorts.filter((port) => mapOf(port) === map);
      const elements = ports.map((port) => (verb === 'add' ? portElement(record, port) : portKey(port)));
      return ports.length ? `${verb} element ip ${tableName} ${map} { ${elements.join(', ')} }\n` : '';
    })
    .join('');
}

/**
 * The whole table, replaced in one transaction. Programs of the host reach host ports at 127.0.0.1 too: the bridge routes
 * such packets for that (route_localnet), and the guard keeps pods from reaching the host's loopback by the same door.
 */
export function nftTable(shape: BridgeShape, records: readonly AddressRecord[]): string {
  const inside = [...new Set([shape.subnet, ...shape.podRanges, ...shape.serviceRanges])].join(', ');
  const elementsOf = (map: (typeof mapNames)[number]) => {
    const elements = records.flatMap((record) =>
      record.hostPorts.filter((port) => mapOf(port) === map).map((port) => portElement(record, port)),
    );
    return elements.length ? `    elements = { ${elements.join(', ')} }\n` : '';
  };
  const translate = 'fib daddr type local dnat ip to meta l4proto . th dport map @host_ports';
  const translateOne = 'dnat ip to ip daddr . meta l4proto . th dport map @host_ip_ports';
  return `table ip ${shape.tableName}
delete table ip ${shape.tableName}
table ip ${shape.tableName} {
  set inside {
    type ipv4_addr
    flags interval
    auto-merge
    elements = { ${inside} }
  }
  map host_ports {
    type inet_proto . inet_service : ipv4_addr . inet_service
${elementsOf('host_ports')}  }
  map host_ip_ports {
    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
${elementsOf('host_ip_ports')}  }
  chain guard {
    type filter hook prerouting priority -300; policy accept;
    iifname "${shape.bridge}" ip daddr 127.0.0.0/8 drop
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
    ip saddr 127.0.0.0/8 oifname "${shape.bridge}" masquerade
    ct status dnat ip saddr ${shape.subnet} ip daddr ${shape.subnet} oifname "${shape.bridge}" masquerade
    ip saddr ${shape.subnet} ip daddr != @inside ip daddr != 224.0.0.0/4 oifname != "${shape.bridge}" masquerade
  }
}
`;
}
