import type { EndpointSlice, KubeObject, Service } from '#sdk';
import { familyOf } from './address.ts';
import { codes, types } from './query.ts';
import type { Answer, DnsRecord } from './records.ts';

/** What the cluster's zone is made of. */
export interface ClusterView {
  hasNamespace(name: string): boolean;
  service(namespace: string, name: string): Readonly<Service & KubeObject> | undefined;
  slices(namespace: string, name: string): readonly Readonly<EndpointSlice & KubeObject>[];
  servicesAt(address: string): readonly Readonly<Service & KubeObject>[];
  slicesAt(address: string): readonly Readonly<EndpointSlice & KubeObject>[];
}
export interface ZoneOptions {
  /** Such as `cluster.local`. */
  readonly domain: string;
  readonly ttlSeconds: number;
  /** Rises with the zone. */
  readonly serial: number;
}
/** `alias`: the records lead to a name of somebody else, which has to be looked up for a whole answer. */
export type Found =
  | { readonly type: 'answer'; readonly answer: Answer }
  | { readonly type: 'alias'; readonly chain: readonly DnsRecord[]; readonly target: string };

export const serviceNameLabel = 'kubernetes.io/service-name';
const schemaVersion = '1.1.0';
const schemaTtlSeconds = 28_800;
const aliasesMax = 10; // a longer chain of external names is a loop or as good as one

/** One address behind a name, or a name that stands for it. */
interface Target {
  readonly host: string;
  readonly port?: number;
  /** The name under which a SRV record shows it. */
  readonly name: string;
}

/**
 * The records of the Kubernetes DNS specification (1.1.0) for a name of the zone: services, their ports and endpoints, pods.
 * Pure. Where the specification leaves a choice this chooses as CoreDNS does, so that the one can stand in for the other.
 */
export function lookUp(name: string, type: number, view: ClusterView, options: ZoneOptions): Found {
  const { domain } = options;
  if (type === types.AXFR || type === types.IXFR) return answered({ code: codes.refused });
  if (name === domain) return apex(type, view, options);
  const own = name.slice(0, -domain.length - 1);
  if (own === 'dns-version' && type === types.TXT)
    return records([{ name, ttl: schemaTtlSeconds, type: 'TXT', text: schemaVersion }]);
  if (own === 'ns.dns') return records(addressRecords(name, serverAddresses(view), type, options), options);
  return follow(name, type, view, options, []);
}

function follow(name: string, type: number, view: ClusterView, options: ZoneOptions, chain: DnsRecord[]): Found {
  const targets = targetsOf(name, view, options);
  if (!targets) return chain.length > 0 ? records(chain, options) : denied(options);
  const alias = targets.find(({ host }) => familyOf(host) === 0);
  const { ttlSeconds: ttl } = options;
  if (alias) {
    if (type === types.SRV) return records(chain, options);
    const link: DnsRecord = { name, ttl, type: 'CNAME', target: alias.host };
    const isLoop = chain.length >= aliasesMax || alias.host === name || chain.some((one) => one.name === alias.host);
    if (isLoop) return records([], options);
    const next = [...chain, link];
    if (type === types.CNAME) return records(next, options);
    if (!isWithin(alias.host, options.domain)) return { type: 'alias', chain: next, target: alias.host };
    return follow(alias.host, type, view, options, next);
  }
  if (type === types.SRV) return services(name, targets, chain, options);
  const addresses = targets.map(({ host }) => host);
  return records([...chain, ...addressRecords(name, addresses, type, options)], options);
}

/** Undefined: there is no such name. Empty: there is, and it has no records. */
function targetsOf(name: string, view: ClusterView, { domain }: ZoneOptions): readonly Target[] | undefined {
  const labels = name.slice(0, -domain.length - 1).split('.');
  const kind = labels.pop();
  if (kind !== 'svc' && kind !== 'pod') return undefined;
  const namespace = labels.pop();
  if (namespace === undefined) return [];
  if (!view.hasNamespace(namespace)) return undefined;
  const subject = labels.pop();
  if (subject === undefined) return [];
  if (kind === 'pod') return podTargets(subject, name);
  if (labels.length > 2) return undefined;
  const service = view.service(namespace, subject);
  if (!service?.spec) return undefined;
  if (service.spec.type === 'ExternalName') {
    const host = (service.spec.externalName ?? '').toLowerCase().replace(/\.$/, '');
    return labels.length > 0 || familyOf(host) || !isSpeakable(host) ? undefined : [{ host, name }];
  }
  const [port, protocol] = labels.length === 2 ? labels.map((label) => label.replace(/^_/, '')) : [];
  const endpoint = labels.length === 1 ? labels[0] : undefined;
  const serviceName = `${subject}.${namespace}.svc.${domain}`;
  const found =
    isHeadless(service) || endpoint !== undefined
      ? endpointTargets(view.slices(namespace, subject), serviceName, endpoint, port, protocol)
      : (service.spec.ports ?? [])
          .filter((one) => isPort(port, protocol, one.name, one.protocol))
          .flatMap((one) => clusterIps(service).map((host) => ({ host, port: one.port, name: serviceName })));
  return found.length > 0 ? found : undefined;
}

/** `1-2-3-4` or, for IPv6, `fd00--7`: whether such a pod exists is not checked, as with CoreDNS' usual configuration. */
function podTargets(subject: string, name: string): readonly Target[] | undefined {
  const isFour = subject.split('-').length === 4 && !subject.includes('--');
  const host = subject.replaceAll('-', isFour ? '.' : ':');
  return familyOf(host) ? [{ host, name }] : undefined;
}

function endpointTargets(
  slices: readonly Readonly<EndpointSlice>[],
  serviceName: string,
  endpoint: string | undefined,
  port: string | undefined,
  protocol: string | undefined,
): Target[] {
  const found: Target[] = [];
  for (const slice of slices) {
    if (slice.addressType === 'FQDN') continue;
    const ports = slice.ports?.length ? slice.ports : [{}];
    for (const one of slice.endpoints ?? []) {
      if (one.conditions?.ready === false) continue;
      for (const host of one.addresses) {
        const label = endpointName(one.hostname, host);
        if (endpoint !== undefined && endpoint !== label) continue;
        for (const each of ports)
          if (isPort(port, protocol, each.name, each.protocol))
            found.push({ host, port: each.port, name: `${label}.${serviceName}` });
      }
    }
  }
  return found;
}

export const isWithin = (name: string, domain: string): boolean => name === domain || name.endsWith(`.${domain}`);
/** Labels of at most 63 bytes: the validation of external names lets longer ones pass. */
const isSpeakable = (name: string): boolean =>
  name.length <= 253 && name.split('.').every((label) => label.length > 0 && label.length <= 63);
const isHeadless = ({ spec }: Readonly<Service>): boolean => spec?.clusterIP === 'None';
const clusterIps = ({ spec }: Readonly<Service>): readonly string[] =>
  (spec?.clusterIPs?.length ? spec.clusterIPs : [spec?.clusterIP ?? '']).filter((ip) => familyOf(ip) > 0);
const isPort = (port: string | undefined, protocol: string | undefined, name = '', transport = 'TCP'): boolean =>
  (port === undefined || port === name.toLowerCase()) &&
  (protocol === undefined || protocol === transport.toLowerCase());
function endpointName(hostname: string | undefined, address: string): string {
  if (hostname) return hostname;
  const dashed = address.replaceAll(/[.:]/g, '-');
  return address.endsWith(':') ? `${dashed}0` : dashed;
}

function services(name: string, targets: readonly Target[], chain: readonly DnsRecord[], options: ZoneOptions): Found {
  const { ttlSeconds: ttl } = options;
  const numbered = targets.filter((one) => one.port !== undefined);
  const weight = Math.max(1, Math.floor(100 / Math.max(1, numbered.length)));
  const answers = new Map<string, DnsRecord>();
  const additional = new Map<string, DnsRecord>();
  for (const { host, port, name: target } of numbered) {
    answers.set(`${target} ${port}`, { name, ttl, type: 'SRV', priority: 0, weight, port: port!, target });
    additional.set(`${target} ${host}`, {
      name: target,
      ttl,
      type: familyOf(host) === 4 ? 'A' : 'AAAA',
      address: host,
    });
  }
  return records([...chain, ...answers.values()], options, [...additional.values()]);
}

function addressRecords(name: string, hosts: readonly string[], type: number, options: ZoneOptions): DnsRecord[] {
  const family = type === types.A ? 4 : type === types.AAAA ? 6 : 0;
  const wanted = [...new Set(hosts)].filter((host) => familyOf(host) === family);
  return wanted.map((address) => ({
    name,
    ttl: options.ttlSeconds,
    type: family === 4 ? 'A' : 'AAAA',
    address,
  }));
}

/** The name for an address of a service or of a ready endpoint; undefined when it is nobody's here. */
export function lookUpAddress(
  name: string,
  address: string,
  view: ClusterView,
  options: ZoneOptions,
): Found | undefined {
  const { domain, ttlSeconds: ttl } = options;
  const [service] = view.servicesAt(address);
  const targets = new Set<string>();
  if (service) targets.add(`${service.metadata.name}.${service.metadata.namespace}.svc.${domain}`);
  else
    for (const { metadata, endpoints } of view.slicesAt(address))
      for (const { addresses, hostname, conditions } of endpoints ?? [])
        if (addresses.includes(address) && conditions?.ready !== false && metadata.labels?.[serviceNameLabel])
          targets.add(
            `${endpointName(hostname, address)}.${metadata.labels[serviceNameLabel]}.${metadata.namespace}.svc.${domain}`,
          );
  if (targets.size === 0) return undefined;
  return records([...targets].map((target) => ({ name, ttl, type: 'PTR', target })));
}

const serverAddresses = (view: ClusterView): readonly string[] => {
  const own = view.service('kube-system', 'kube-dns');
  return own ? clusterIps(own) : [];
};

function apex(type: number, view: ClusterView, options: ZoneOptions): Found {
  const { domain: name, ttlSeconds: ttl } = options;
  if (type === types.SOA) return records([soa(options)]);
  if (type !== types.NS) return records([], options);
  const target = `ns.dns.${name}`;
  const glue = [types.A, types.AAAA].flatMap((each) => addressRecords(target, serverAddresses(view), each, options));
  return records([{ name, ttl, type: 'NS', target }], options, glue);
}

const soa = ({ domain, ttlSeconds, serial }: ZoneOptions): DnsRecord => ({
  name: domain,
  ttl: ttlSeconds,
  type: 'SOA',
  primary: `ns.dns.${domain}`,
  mailbox: `hostmaster.${domain}`,
  serial,
});

const answered = (part: Partial<Answer>): Found => ({
  type: 'answer',
  answer: { code: codes.ok, authoritative: true, answers: [], authority: [], additional: [], ...part },
});
const denied = (options: ZoneOptions): Found => answered({ code: codes.noName, authority: [soa(options)] });
/** Without a record the answer says who would know, and for how long that can be kept. */
const records = (answers: readonly DnsRecord[], options?: ZoneOptions, additional: readonly DnsRecord[] = []): Found =>
  answered({ answers, additional, authority: answers.length === 0 && options ? [soa(options)] : [] });
