import type { Exec } from '#base';
import type { HostAddress } from '#sdk';

interface LinkText {
  readonly ifname?: string;
  readonly mtu?: number;
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number; readonly scope?: string }[];
}

/** The addresses of this host's network namespace, those of loopback left out. Empty where there is no `ip` to ask. */
export async function hostAddresses(exec: Exec): Promise<readonly HostAddress[]> {
  const { code, stdout } = await exec.run(['ip', '-json', 'address', 'show', 'up'], { timeoutMs: 10_000 });
  return code === 0 ? readAddresses(stdout) : [];
}

/** What `ip -json address` says. Pure. */
export function readAddresses(text: string): readonly HostAddress[] {
  const links = JSON.parse(text || '[]') as readonly LinkText[];
  return links.flatMap(({ ifname, mtu, addr_info = [] }) =>
    addr_info.flatMap(({ local, prefixlen, scope }): HostAddress[] =>
      ifname && mtu && local && prefixlen !== undefined && scope !== 'host'
        ? [{ link: ifname, cidr: `${local}/${prefixlen}`, mtuBytes: mtu }]
        : [],
    ),
  );
}
