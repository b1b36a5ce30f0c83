import { familyOf, plainAddress } from './address.ts';
import type { Upstream } from './upstream.ts';

/** What people can say, in the ConfigMap kube-system/kube-dns. */
export interface Settings {
  readonly driver: 'embedded' | 'coredns';
  /** Servers for everything else; empty: those of the node. */
  readonly upstreams: readonly Upstream[];
  /** Domain → its own servers. */
  readonly stubDomains: ReadonlyMap<string, readonly Upstream[]>;
  /** Name → addresses. */
  readonly hosts: ReadonlyMap<string, readonly string[]>;
  /** Address → names. */
  readonly hostNames: ReadonlyMap<string, readonly string[]>;
  readonly cacheSecondsMax: number;
  /** Zone → text of RFC 1035; served by CoreDNS only. */
  readonly zoneFiles: ReadonlyMap<string, string>;
  /** Served by CoreDNS only. */
  readonly templates: readonly Template[];
}
export interface Template {
  readonly zone: string;
  readonly type: string;
  /** A regular expression for the name; absent: every name. */
  readonly match?: string;
  /** A record in the form of zone files, with CoreDNS' placeholders. */
  readonly answer: string;
}
const bytesMax = 262_144;
const upstreamsMax = 15; // as many as CoreDNS takes
const cacheSecondsDefault = 30;
const domainPattern = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const isDomain = (text: string): boolean => domainPattern.test(text);

export interface ReadSettings {
  readonly settings: Settings;
  /** What was left out, in words. The rest is in force. */
  readonly problems: readonly string[];
}

/** Reads the ConfigMap's data. Nothing throws: a mistake in one entry must not stop the cluster's DNS. Pure. */
export function readSettings(data: Readonly<Record<string, string>>, clusterDomain: string): ReadSettings {
  const problems: string[] = [];
  const entry = (name: string): string => {
    const text = data[name] ?? '';
    if (text.length <= bytesMax) return text;
    problems.push(`${name} is longer than ${bytesMax} bytes`);
    return '';
  };
  const parse = <T>(name: string, read: (value: unknown) => T, none: T): T => {
    const text = entry(name).trim();
    if (text === '') return none;
    try {
      return read(JSON.parse(text));
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      return none;
    }
  };
  const known = ['driver', 'upstreamNameservers', 'stubDomains', 'hosts', 'cacheSeconds', 'zoneFiles', 'templates'];
  for (const name of Object.keys(data)) if (!known.includes(name)) problems.push(`${name} is no setting`);
  const driver = entry('driver').trim() || 'embedded';
  if (driver !== 'embedded' && driver !== 'coredns') problems.push(`driver: ${driver} is neither embedded nor coredns`);
  const cacheText = entry('cacheSeconds').trim();
  const cacheSeconds = cacheText === '' ? cacheSecondsDefault : Number(cacheText);
  const isCache = Number.isInteger(cacheSeconds) && cacheSeconds >= 0 && cacheSeconds <= 86_400;
  if (!isCache) problems.push(`cacheSeconds: ${cacheText} is no whole number from 0 to 86400`);
  return {
    settings: {
      driver: driver === 'coredns' ? 'coredns' : 'embedded',
      upstreams: parse('upstreamNameservers', (value) => serversOf(value), []),
      stubDomains: parse('stubDomains', (value) => stubsOf(value, clusterDomain, problems), new Map()),
      ...hostsOf(entry('hosts'), clusterDomain, problems),
      cacheSecondsMax: isCache ? cacheSeconds : cacheSecondsDefault,
      zoneFiles: parse('zoneFiles', (value) => zonesOf(value, clusterDomain, problems), new Map()),
      templates: parse('templates', (value) => templatesOf(value, clusterDomain, problems), []),
    },
    problems,
  };
}

/** `1.2.3.4`, `1.2.3.4:5353`, `[fd00::1]:53`. */
export function serverOf(text: string): Upstream | undefined {
  if (familyOf(text)) return { ip: text, port: 53 };
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const [ip, port] = [match?.[1] ?? match?.[2] ?? '', Number(match?.[3])];
  return familyOf(ip) && port > 0 && port < 65_536 ? { ip, port } : undefined;
}

function serversOf(value: unknown): Upstream[] {
  if (!Array.isArray(value) || value.length > upstreamsMax)
    throw new Error(`a list of at most ${upstreamsMax} addresses is wanted`);
  return value.map((one) => {
    const server = serverOf(String(one));
    if (!server) throw new Error(`${String(one)} is no address of a server`);
    return server;
  });
}

/** Domains of the given entries that are neither malformed nor the cluster's own. */
function* domainsOf(
  what: string,
  value: unknown,
  clusterDomain: string,
  problems: string[],
): Generator<readonly [domain: string, value: unknown]> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error('an object is wanted');
  for (const [name, one] of Object.entries(value)) {
    const domain = name.toLowerCase().replace(/\.$/, '');
    const isOwn = domain === clusterDomain || domain.endsWith(`.${clusterDomain}`);
    if (!isDomain(domain) || isOwn)
      problems.push(`${what}: ${name} ${isOwn ? 'is the cluster’s own' : 'is no domain'}`);
    else yield [domain, one];
  }
}

function stubsOf(value: unknown, clusterDomain: string, problems: string[]): Map<string, Upstream[]> {
  const found = new Map<string, Upstream[]>();
  for (const [domain, servers] of domainsOf('stubDomains', value, clusterDomain, problems)) {
    try {
      found.set(domain, serversOf(servers));
    } catch (error) {
      problems.push(`stubDomains ${domain}: ${(error as Error).message}`);
    }
  }
  return found;
}

function zonesOf(value: unknown, clusterDomain: string, problems: string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const [domain, text] of domainsOf('zoneFiles', value, clusterDomain, problems))
    if (typeof text === 'string' && !/^\s*\$INCLUDE/im.test(text)) found.set(domain, text);
    else problems.push(`zoneFiles ${domain}: a text without $INCLUDE is wanted`);
  return found;
}

function templatesOf(value: unknown, clusterDomain: string, problems: string[]): Template[] {
  if (!Array.isArray(value)) throw new Error('a list is wanted');
  return value.flatMap((one: unknown): Template[] => {
    const { zone, type, match, answer } = (one ?? {}) as Record<string, unknown>;
    const texts = [zone, type, answer, match ?? ''];
    // Each becomes one quoted word of a Corefile: a quote or a line break would begin another, {$X} would be the environment's.
    const isFine =
      texts.every((text) => typeof text === 'string' && !/["\n\r\\`]|\{[$%]/.test(text.replaceAll(/\\[.dwsb]/g, ''))) &&
      isDomain(String(zone)) &&
      !`.${String(zone)}`.endsWith(`.${clusterDomain}`) &&
      /^[A-Z0-9]{1,10}$/.test(String(type));
    if (isFine) return [{ zone, type, answer, ...(match ? { match } : {}) } as Template];
    problems.push(`templates: ${JSON.stringify(one).slice(0, 100)} is none`);
    return [];
  });
}

/** As hosts(5): an address and its names on each line. */
function hostsOf(text: string, clusterDomain: string, problems: string[]): Pick<Settings, 'hosts' | 'hostNames'> {
  const hosts = new Map<string, string[]>();
  const hostNames = new Map<string, string[]>();
  const add = (to: Map<string, string[]>, key: string, value: string) => to.set(key, [...(to.get(key) ?? []), value]);
  for (const line of text.split('\n')) {
    const [given = '', ...names] = line.replace(/#.*$/, '').trim().split(/\s+/);
    if (given === '') continue;
    const address = plainAddress(given);
    for (const name of names.map((one) => one.toLowerCase().replace(/\.$/, ''))) {
      const isOwn = `.${name}`.endsWith(`.${clusterDomain}`);
      if (address === undefined || !isDomain(name) || isOwn)
        problems.push(`hosts: ${line.trim().slice(0, 100)} cannot be used`);
      else {
        add(hosts, name, address);
        add(hostNames, address, name);
      }
    }
  }
  return { hosts, hostNames };
}
/** Servers for a name: those of the longest stub domain above it, else everybody's. */
export function upstreamsFor(name: string, { stubDomains, upstreams }: Settings): readonly Upstream[] {
  if (stubDomains.size > 0)
    for (let rest = name; ; ) {
      const found = stubDomains.get(rest);
      if (found) return found;
      const dot = rest.indexOf('.');
      if (dot < 0) break;
      rest = rest.slice(dot + 1);
    }
  return upstreams;
}
