import type { HostAlias, Pod } from '#api';

const hostnameMax = 63;

/** The pod's host name, and its domain when it has a subdomain. */
export function hostnameOf(
  pod: Readonly<Pod>,
  nodeName: string,
  clusterDomain: string,
): { hostname: string; domain: string; full: string } {
  const spec = pod.spec;
  const wanted = spec?.hostNetwork ? nodeName : (spec?.hostname ?? pod.metadata.name ?? '');
  const hostname = wanted.slice(0, hostnameMax).replace(/[-.]+$/, '');
  const domain =
    spec?.subdomain && !spec.hostNetwork ? `${spec.subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}` : '';
  return { hostname, domain, full: spec?.setHostnameAsFQDN && domain ? `${hostname}.${domain}` : hostname };
}

/** The pod's /etc/hosts. With the host's network it is the node's own file with the aliases behind it. */
export function hostsFile(options: {
  readonly ips: readonly string[];
  readonly hostname: string;
  readonly domain: string;
  readonly aliases?: readonly HostAlias[];
  /** Text of the node's own file, for pods in its network. */
  readonly nodeFile?: string;
}): string {
  const { ips, hostname, domain, aliases = [], nodeFile } = options;
  const lines =
    nodeFile === undefined
      ? [
          '# Kubernetes-managed hosts file.',
          '127.0.0.1\tlocalhost',
          '::1\tlocalhost ip6-localhost ip6-loopback',
          'fe00::0\tip6-localnet',
          'fe00::0\tip6-mcastprefix',
          'fe00::1\tip6-allnodes',
          'fe00::2\tip6-allrouters',
          ...ips.map((ip) => (domain ? `${ip}\t${hostname}.${domain}\t${hostname}` : `${ip}\t${hostname}`)),
        ]
      : ['# Kubernetes-managed hosts file (host network).', nodeFile.trimEnd()];
  if (aliases.length) {
    lines.push('', '# Entries added by HostAliases.');
    for (const alias of aliases) lines.push(`${alias.ip}\t${(alias.hostnames ?? []).join('\t')}`);
  }
  return `${lines.join('\n')}\n`;
}
