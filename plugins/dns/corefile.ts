import { clusterDomain } from './places.ts';
import { hostsTtlSeconds } from './responder.ts';
import type { Settings } from './settings.ts';

export interface CorefileOptions {
  readonly settings: Settings;
  readonly listen: { readonly ip: string; readonly port: number };
  /** Absolute paths without a blank. */
  readonly kubeconfig: string;
  readonly folder: string;
  readonly ttlSeconds: number;
}
const metricsPort = 9153; // CoreDNS' own; the address is this cluster's alone
const zoneFileOf = (domain: string): string => `zone.${domain}`;
export const hostsFile = 'hosts';

/** Files beside the Corefile: name → text. */
export function filesOf({ hosts, zoneFiles }: Settings): Map<string, string> {
  const lines = [...hosts].flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}\n`));
  return new Map([
    [hostsFile, lines.join('')],
    ...[...zoneFiles].map(([domain, text]): [string, string] => [zoneFileOf(domain), text]),
  ]);
}

/** A CoreDNS configuration that answers as the embedded server does. Pure. */
export function corefileOf(options: CorefileOptions): string {
  const { settings, listen, folder, kubeconfig, ttlSeconds } = options;
  const bind = `    bind ${listen.ip}`;
  const metrics = `    prometheus ${listen.ip}:${metricsPort}`;
  const cache = (lines: string[] = []): string[] =>
    settings.cacheSecondsMax === 0
      ? []
      : [`    cache ${settings.cacheSecondsMax} {`, ...lines, '        serve_stale 1h', '    }'];
  const hosts = [
    '    hosts ' + `${folder}/${hostsFile} {`,
    `        ttl ${hostsTtlSeconds}`,
    '        fallthrough',
    '    }',
  ];
  const forward = (servers: Settings['upstreams']): string[] => {
    const names = servers.map(({ ip, port }) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`));
    return names.length === 0 ? [] : [`    forward . ${names.join(' ')}`];
  };
  const block = (zone: string, lines: readonly string[]): string =>
    `${zone}:${listen.port} {\n${[bind, '    errors', metrics, ...lines].join('\n')}\n}\n`;
  const templates = settings.templates.flatMap(({ zone, type, match, answer }) => [
    `    template IN ${type} ${zone} {`,
    ...(match === undefined ? [] : [`        match "${match}"`]),
    `        answer "${answer}"`,
    '        fallthrough',
    '    }',
  ]);
  const kubernetes = [
    `    kubernetes ${clusterDomain} in-addr.arpa ip6.arpa {`,
    `        kubeconfig ${kubeconfig}`,
    '        pods insecure',
    '        fallthrough in-addr.arpa ip6.arpa',
    `        ttl ${ttlSeconds}`,
    '    }',
  ];
  const own = [`        disable success ${clusterDomain}`, `        disable denial ${clusterDomain}`];
  return [
    block('.', [
      ...cache(own),
      ...templates,
      ...hosts,
      ...kubernetes,
      ...forward(settings.upstreams),
      '    loadbalance',
    ]),
    ...[...settings.zoneFiles.keys()].map((zone) => block(zone, [`    file ${folder}/${zoneFileOf(zone)}`])),
    ...[...settings.stubDomains].map(([zone, servers]) => block(zone, [...cache(), ...hosts, ...forward(servers)])),
  ].join('\n');
}
