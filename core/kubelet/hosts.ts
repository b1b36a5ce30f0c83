import type { HostAlias, Pod, Service } from '#api';
import type { Cache } from '#client';

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

/** Where the cluster's names are served: the name is the same in every cluster. Empty: nobody serves them. */
export function clusterDnsOf(services: Pick<Cache<Service>, 'get'>): readonly string[] {
  const spec = services.get({ namespace: 'kube-system', name: 'kube-dns' })?.spec;
  const addresses = spec?.clusterIPs?.length ? spec.clusterIPs : [spec?.clusterIP ?? ''];
  return addresses.filter((ip) => ip !== '' && ip !== 'None');
}

const searchesMax = 32;
const nameserversMax = 3; // what the C library reads

/** The pod's /etc/resolv.conf. `nodeFile` is the node's own; dnsPolicy ClusterFirst without a cluster DNS falls back to it. */
export function resolvFile(
  pod: Readonly<Pod>,
  options: { readonly clusterDns: readonly string[]; readonly clusterDomain: string; readonly nodeFile: string },
): string {
  const spec = pod.spec;
  const policy = spec?.dnsPolicy ?? 'ClusterFirst';
  const node = parseResolv(options.nodeFile);
  let { nameservers, searches, settings } = node;
  if (policy === 'None') [nameservers, searches, settings] = [[], [], []];
  const cluster =
    options.clusterDns.length > 0 &&
    (policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && !spec?.hostNetwork));
  if (cluster) {
    const { clusterDomain: domain } = options;
    nameservers = [...options.clusterDns];
    searches = [`${pod.metadata.namespace}.svc.${domain}`, `svc.${domain}`, domain, ...node.searches];
    settings = ['ndots:5'];
  }
  const extra = spec?.dnsConfig;
  nameservers = [...new Set([...nameservers, ...(extra?.nameservers ?? [])])].slice(0, nameserversMax);
  searches = [...new Set([...searches, ...(extra?.searches ?? [])])].slice(0, searchesMax);
  const named = new Map(settings.map((text) => [text.split(':')[0]!, text]));
  for (const { name = '', value } of extra?.options ?? []) named.set(name, value ? `${name}:${value}` : name);
  return [
    ...(searches.length ? [`search ${searches.join(' ')}`] : []),
    ...nameservers.map((ip) => `nameserver ${ip}`),
    ...(named.size ? [`options ${[...named.values()].join(' ')}`] : []),
    '',
  ].join('\n');
}

export function parseResolv(text: string): { nameservers: string[]; searches: string[]; settings: string[] } {
  const nameservers: string[] = [];
  let searches: string[] = [];
  let settings: string[] = [];
  for (const line of text.split('\n')) {
    const [word, ...rest] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (word === 'nameserver' && rest[0]) nameservers.push(rest[0]);
    else if (word === 'search') searches = rest;
    else if (word === 'options') settings = [...settings, ...rest];
  }
  return { nameservers, searches, settings };
}
