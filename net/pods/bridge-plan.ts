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

const portKey = (port: HostPort) => `${port.protocol} . ${port.hostPort}`;
export const hostPortElements = (record: AddressRecord): string[] =>
  record.hostPorts.map((port) => `${portKey(port)} : ${record.ip} . ${port.podPort}`);
export const hostPortKeys = (record: AddressRecord): string[] => record.hostPorts.map(portKey);

/** The whole table, replaced in one transaction. */
export function nftTable(shape: BridgeShape, records: readonly AddressRecord[]): string {
  const inside = [...new Set([shape.subnet, ...shape.podRanges, ...shape.serviceRanges])].join(', ');
  const ports = records.flatMap(hostPortElements);
  const translate = 'dnat ip to meta l4proto . th dport map @host_ports';
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
${ports.length ? `    elements = { ${ports.join(', ')} }\n` : ''}  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    fib daddr type local ${translate}
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local ${translate}
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ct status dnat ip saddr ${shape.subnet} ip daddr ${shape.subnet} oifname "${shape.bridge}" masquerade
    ip saddr ${shape.subnet} ip daddr != @inside ip daddr != 224.0.0.0/4 oifname != "${shape.bridge}" masquerade
  }
}
`;
}
