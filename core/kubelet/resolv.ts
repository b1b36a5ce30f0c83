import type { Pod, Service } from '#api';
import type { Cache } from '#client';
import { podText } from './names.ts';

/** Where the cluster's names are served: the name is the same in every cluster. Empty: nobody serves them. */
export function clusterDnsOf(services: Pick<Cache<Service>, 'get'>): readonly string[] {
  const spec = services.get({ namespace: 'kube-system', name: 'kube-dns' })?.spec;
  const addresses = spec?.clusterIPs?.length ? spec.clusterIPs : [spec?.clusterIP ?? ''];
  return addresses.filter((ip) => ip !== '' && ip !== 'None');
}

const searchesMax = 32;
const searchLineCharsMax = 2048;
const searchCharsMax = 253; // a longer one makes some C libraries abort
const nameserversMax = 3; // what the C library reads

export interface ResolvFile {
  readonly text: string;
  /** What was left out or replaced, as events of the pod tell it. */
  readonly warnings: readonly { readonly reason: string; readonly message: string }[];
}

/** The pod's /etc/resolv.conf. `nodeFile` is the node's own; dnsPolicy ClusterFirst without a cluster DNS falls back to it. Pure. */
export function resolvFile(
  pod: Readonly<Pod>,
  options: { readonly clusterDns: readonly string[]; readonly clusterDomain: string; readonly nodeFile: string },
): ResolvFile {
  const spec = pod.spec;
  const warnings: { reason: string; message: string }[] = [];
  let { nameservers, searches, settings } = baseOf(pod, options, warnings);
  const extra = spec?.dnsConfig;
  nameservers = [...new Set([...nameservers, ...(extra?.nameservers ?? [])])];
  searches = [...new Set([...searches, ...(extra?.searches ?? [])])];
  const forming = (message: string) => warnings.push({ reason: 'DNSConfigForming', message });
  if (nameservers.length > nameserversMax) {
    nameservers = nameservers.slice(0, nameserversMax);
    forming(
      `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${nameservers.join(' ')}`,
    );
  }
  const fitting = fittingSearches(searches);
  if (fitting.length < searches.length)
    forming(
      `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${fitting.join(' ')}`,
    );
  const named = new Map(settings.map((text) => [text.split(':')[0]!, text]));
  for (const { name = '', value } of extra?.options ?? []) named.set(name, value ? `${name}:${value}` : name);
  const text = [
    ...(fitting.length ? [`search ${fitting.join(' ')}`] : []),
    ...nameservers.map((ip) => `nameserver ${ip}`),
    ...(named.size ? [`options ${[...named.values()].join(' ')}`] : []),
    '',
  ].join('\n');
  return { text, warnings };
}

interface Resolv {
  readonly nameservers: readonly string[];
  readonly searches: readonly string[];
  readonly settings: readonly string[];
}
/** What the pod's policy says, before its own additions. */
function baseOf(
  pod: Readonly<Pod>,
  options: { readonly clusterDns: readonly string[]; readonly clusterDomain: string; readonly nodeFile: string },
  warnings: { reason: string; message: string }[],
): Resolv {
  const { clusterDns, clusterDomain: domain } = options;
  const policy = pod.spec?.dnsPolicy ?? 'ClusterFirst';
  if (policy === 'None') return { nameservers: [], searches: [], settings: [] };
  const node = parseResolv(options.nodeFile);
  const wantsCluster = policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && !pod.spec?.hostNetwork);
  if (!wantsCluster) return node;
  if (clusterDns.length === 0) {
    const message = `pod: "${podText(pod)}". kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`;
    warnings.push({ reason: 'MissingClusterDNS', message });
    return node;
  }
  const searches = [`${pod.metadata.namespace}.svc.${domain}`, `svc.${domain}`, domain, ...node.searches];
  return { nameservers: clusterDns, searches, settings: ['ndots:5'] };
}

/** As many, from the front, as resolvers take. */
function fittingSearches(searches: readonly string[]): string[] {
  const fitting: string[] = [];
  let chars = 0;
  for (const search of searches.slice(0, searchesMax)) {
    if (search.length > searchCharsMax) continue;
    chars += search.length + (fitting.length > 0 ? 1 : 0);
    if (chars > searchLineCharsMax) break;
    fitting.push(search);
  }
  return fitting;
}

export function parseResolv(text: string): Resolv {
  const nameservers: string[] = [];
  let searches: string[] = [];
  const settings = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [word, ...rest] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (word === 'nameserver' && rest[0]) nameservers.push(rest[0]);
    else if (word === 'search') searches = rest.filter((one) => one !== '.').map((one) => one.replace(/\.$/, ''));
    else if (word === 'options') for (const one of rest) settings.set(one.split(':')[0]!, one);
  }
  return { nameservers, searches, settings: [...settings.values()] };
}
