import type { Exec } from '#base';
import {
  devicePrefix,
  type ObservedLink,
  type ObservedRoute,
  type ObservedWork,
  routeProtocol,
  type WorkOwner,
} from './plan.ts';
import { sameText } from './ranges.ts';

type Json = Readonly<Record<string, unknown>>;

/** What the machine has of one owner now. Throws when `ip` cannot be asked. */
export async function observeWork(exec: Exec, owner: WorkOwner, netns?: string): Promise<ObservedWork> {
  const ask = async (...argv: string[]): Promise<Json[]> => {
    const { code, stdout, stderr } = await exec.run(argv, { netns });
    if (code !== 0) throw new Error(`${argv.join(' ')} failed: ${stderr.trim().slice(0, 300)}`);
    return stdout.trim() === '' ? [] : (JSON.parse(stdout) as Json[]);
  };
  const prefix = devicePrefix(owner);
  const isOwn = (name: unknown): boolean => String(name).startsWith(prefix);
  const protocol = String(routeProtocol(owner));
  const [devices, routes4, routes6] = await Promise.all([
    ask('ip', '-N', '-j', '-d', 'addr', 'show'),
    ask('ip', '-N', '-j', '-4', 'route', 'show', 'proto', protocol),
    ask('ip', '-N', '-j', '-6', 'route', 'show', 'proto', protocol).catch(() => []), // a kernel without IPv6
  ]);
  const own = devices.filter(({ ifname }) => isOwn(ifname));
  const foreign = new Set(
    devices.map(({ ifname }) => String(ifname)).filter((name) => name.startsWith('pp') && !isOwn(name)),
  );
  const vxlans = own.filter((one) => linkOf(one).kind === 'vxlan').map(({ ifname }) => String(ifname));
  const perDevice = <T>(names: readonly string[], read: (name: string) => Promise<T[]>) =>
    Promise.all(names.map(read)).then((lists) => lists.flat());
  return {
    links: own.map(linkOf),
    addresses: own.flatMap(({ ifname, addr_info }) =>
      ((addr_info ?? []) as Json[])
        .filter(({ local, scope }) => local !== undefined && scope !== 'link' && scope !== '253')
        .map(({ local, prefixlen }) => `${ifname} ${sameText(`${local}/${prefixlen}`)}`),
    ),
    // Two owners may have one protocol number: a route over the other's device is the other's.
    routes: [...routes4, ...routes6].filter(({ dev }) => !foreign.has(String(dev))).map(routeOf(isOwn)),
    neighbours: await perDevice(
      own.map(({ ifname }) => String(ifname)),
      async (name) =>
        (await ask('ip', '-N', '-j', 'neigh', 'show', 'nud', 'permanent', 'dev', name))
          .filter(({ lladdr }) => lladdr !== undefined)
          .map(({ dst, lladdr }) => `${name} ${sameText(String(dst)).split('/')[0]} ${lladdr}`),
    ),
    forwarding: await perDevice(vxlans, async (name) =>
      (await ask('bridge', '-j', 'fdb', 'show', 'dev', name))
        .filter(({ dst, mac }) => dst !== undefined && mac !== '00:00:00:00:00:00')
        .map(({ dst, mac }) => `${name} ${mac} ${sameText(String(dst)).split('/')[0]}`),
    ),
  };
}

function linkOf({ ifname, linkinfo, address, mtu, flags }: Json): ObservedLink {
  const { info_kind: kind = '', info_data: data = {} } = (linkinfo ?? {}) as { info_kind?: string; info_data?: Json };
  const local = data['local'] ?? data['local6'];
  return {
    device: String(ifname),
    kind,
    mac: String(address),
    mtuBytes: Number(mtu),
    isUp: ((flags ?? []) as string[]).includes('UP'),
    ...(kind === 'vxlan' ? { vni: Number(data['id']), port: Number(data['port']) } : {}),
    ...(local === undefined ? {} : { local: String(local) }),
  };
}
/** Over a device that is not its own a route goes by the underlay, wherever that leads. */
const routeOf =
  (isOwn: (name: unknown) => boolean) =>
  ({ dst, dev, gateway, via }: Json): ObservedRoute & { readonly device?: string } => {
    const hop = gateway ?? (via as Json | undefined)?.['host'];
    return {
      to: sameText(String(dst)),
      ...(isOwn(dev) ? { device: String(dev) } : {}),
      ...(hop === undefined ? {} : { via: String(hop) }),
    };
  };
