import { newKeyPair } from '../../../net/wireguard/keys.ts';
import type { OverlayHost, OverlayHosts } from '../../fixtures/overlay-hosts.ts';

async function must(host: OverlayHost, argv: readonly string[], stdin?: string): Promise<void> {
  const result = await host.exec.run(argv, stdin === undefined ? {} : { stdin });
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
}
const podRange = (host: OverlayHost) => host.local.subnets[0]!;

/** What a person would type on two hosts for this backend, and nothing more: the baseline. */
export async function handMade(backend: string, world: OverlayHosts, mtuBytes: number): Promise<void> {
  const [a, b] = world.hosts as [OverlayHost, OverlayHost];
  for (const host of [a, b]) await must(host, ['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
  if (backend === 'host-gw') {
    for (const [host, peer] of [
      [a, b],
      [b, a],
    ] as const)
      await must(host, ['ip', 'route', 'add', podRange(peer), 'via', peer.local.endpoint]);
  } else if (backend === 'vxlan') await vxlan(a, b, mtuBytes);
  else await wireguard(a, b, mtuBytes, `bw${world.clusterId.slice(-5)}`);
  await world.setPodMtu(mtuBytes);
}

async function vxlan(a: OverlayHost, b: OverlayHost, mtuBytes: number): Promise<void> {
  const mac = (host: OverlayHost) => `0a:00:00:00:00:0${host.local.endpoint.at(-1)}`;
  for (const [host, peer] of [
    [a, b],
    [b, a],
  ] as const) {
    const hop = podRange(peer).split('/')[0]!;
    const device = ['type', 'vxlan', 'id', '7', 'dstport', '4789', 'local', host.local.endpoint, 'nolearning'];
    await must(host, ['ip', 'link', 'add', 'vx0', 'address', mac(host), 'mtu', String(mtuBytes), ...device]);
    await must(host, ['ip', 'address', 'add', `${podRange(host).split('/')[0]}/32`, 'dev', 'vx0']);
    await must(host, ['ip', 'link', 'set', 'vx0', 'up']);
    await must(host, ['bridge', 'fdb', 'append', mac(peer), 'dev', 'vx0', 'dst', peer.local.endpoint]);
    await must(host, ['ip', 'neigh', 'add', hop, 'lladdr', mac(peer), 'dev', 'vx0']);
    await must(host, ['ip', 'route', 'add', podRange(peer), 'via', hop, 'dev', 'vx0', 'onlink']);
  }
}

/** The same kind of device as ours: of the kernel, or of wireguard-go. */
async function wireguard(a: OverlayHost, b: OverlayHost, mtuBytes: number, name: string): Promise<void> {
  const keys = [newKeyPair(), newKeyPair()] as const;
  for (const [index, host] of [a, b].entries()) {
    const [own, peer] = [keys[index]!, [b, a][index]!];
    const device = `${name}${index}`;
    if ((await host.exec.run(['ip', 'link', 'add', device, 'type', 'wireguard'])).code !== 0)
      await must(host, ['setsid', 'wireguard-go', device]);
    await must(
      host,
      ['wg', 'setconf', device, '/dev/stdin'],
      `[Interface]\nPrivateKey = ${own.privateKey}\nListenPort = 51820\n[Peer]\nPublicKey = ${keys[1 - index]!.publicKey}\n` +
        `Endpoint = ${peer.local.endpoint}:51820\nAllowedIPs = ${podRange(peer)}\nPersistentKeepalive = 25\n`,
    );
    await must(host, ['ip', 'link', 'set', device, 'mtu', String(mtuBytes), 'up']);
    await must(host, ['ip', 'route', 'add', podRange(peer), 'dev', device]);
  }
}
