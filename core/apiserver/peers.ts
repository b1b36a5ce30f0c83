import { createHash } from 'node:crypto';
import { endpointSliceKind, endpointsKind, isReason, type KubeObject, type Lease, leaseKind } from '#api';
import { messageOf, microTimeText } from '#base';
import { familyOf } from './allocate/range.ts';
import type { AnyKind, Reader } from './contract.ts';
import type { Core } from './core.ts';
import { ensure } from './ensure.ts';

/** An API server of this cluster, as it says of itself. */
export interface Peer {
  readonly ip: string;
  readonly port: number;
}
const namespace = 'kube-system';
const identity = { label: 'apiserver.kubernetes.io/identity', value: 'kube-apiserver' } as const;
const urlsAnnotation = 'pintle.dev/urls';
const leaseSeconds = 15; // as upstream's: without a sign for so long a server is no endpoint any more
const renewMs = 5_000;
const leaveMsMax = 1_000;
const recentMs = 60_000; // at the start nothing was heard yet, and clocks may differ
const forgetMs = 3_600_000;

type LeaseObject = Lease & KubeObject;
const leasesOf = (reader: Reader): Readonly<LeaseObject>[] =>
  (reader.list(leaseKind, namespace) as Readonly<LeaseObject>[]).filter(
    ({ metadata }) => metadata.labels?.[identity.label] === identity.value,
  );

/** Where others reach the API servers that share this one's store. One that has gone is told of for an hour more. */
export const peerUrls = (reader: Reader): string[] =>
  leasesOf(reader).flatMap(({ metadata }) => metadata.annotations?.[urlsAnnotation]?.split(',').filter(Boolean) ?? []);

/** Makes the endpoints of the `kubernetes` service: this server's, and where the store is shared, all that are alive. */
export async function tellAddresses(core: Core): Promise<void> {
  const own = core.options.advertise;
  if (!own) return;
  if (core.store.shared) await renew(core, own);
  const after = core.clock.now() - recentMs;
  const recent = ({ spec }: Readonly<LeaseObject>) => Date.parse(spec?.renewTime ?? '') > after;
  const others = core.store.shared ? leasesOf(core.reader).filter(recent).map(peerOf) : [];
  await writeEndpoints(core, endpointsOf([own, ...others]));
}

/** Until the server ends. What one process alone writes needs no looking after. */
export async function keepEndpoints(core: Core): Promise<void> {
  const own = core.options.advertise;
  if (!own || !core.store.shared) return;
  const heard = new Map<string, { readonly renewTime: string; readonly atMs: number }>();
  while (!core.signal.aborted) {
    await core.clock.sleep(renewMs, core.signal);
    if (core.signal.aborted) return;
    try {
      await renew(core, own);
      const leases = leasesOf(core.reader);
      const alive = leases.filter((lease) => isAlive(lease, heard, core.clock.monotonicMs()));
      await writeEndpoints(core, endpointsOf([own, ...alive.map(peerOf)]));
      await forgetGone(core, leases);
    } catch (error) {
      core.log.warn('the addresses of the API servers were not written', { error: messageOf(error) });
    }
  }
}

/** The others need not wait until our lease is over. */
export async function leave(core: Core): Promise<void> {
  const { advertise } = core.options;
  const own =
    advertise && core.store.shared && core.cache.cacheOf(leaseKind as AnyKind)?.get(namespace, leaseName(advertise));
  if (!own) return;
  const stop = new AbortController();
  const removed = core.store.delete(own.key, undefined).catch(() => {}); // then it ends by itself
  await Promise.race([removed, core.clock.sleep(leaveMsMax, stop.signal)]);
  stop.abort();
}

/** By when its renewals are seen here, so that clocks of hosts may differ. */
function isAlive(
  { metadata, spec }: Readonly<LeaseObject>,
  heard: Map<string, { readonly renewTime: string; readonly atMs: number }>,
  nowMs: number,
): boolean {
  const name = metadata.name!;
  const renewTime = spec?.renewTime ?? '';
  if (heard.get(name)?.renewTime !== renewTime) heard.set(name, { renewTime, atMs: nowMs });
  return nowMs - heard.get(name)!.atMs < leaseSeconds * 1000;
}

const peerOf = ({ spec }: Readonly<LeaseObject>): Peer => {
  const text = spec?.holderIdentity ?? '';
  const at = text.lastIndexOf(':');
  return { ip: text.slice(0, at), port: Number(text.slice(at + 1)) };
};

interface ServerEndpoints {
  readonly ips: readonly string[];
  readonly port: number;
  readonly family: 'IPv4' | 'IPv6';
}
/** Every server comes to the same answer. A slice has one port and one family: servers with others than the first are left out. Pure. */
export function endpointsOf(peers: readonly Peer[]): ServerEndpoints {
  const sorted = peers.toSorted((left, right) => left.port - right.port || (left.ip < right.ip ? -1 : 1));
  const { port, ip: first } = sorted[0]!;
  const family = familyOf(first);
  const fitting = sorted.filter((peer) => peer.port === port && familyOf(peer.ip) === family);
  return { ips: [...new Set(fitting.map(({ ip }) => ip))], port, family };
}

async function writeEndpoints(core: Core, { ips, port: number, family }: ServerEndpoints): Promise<void> {
  const metadata = { name: 'kubernetes', namespace: 'default' };
  const port = { name: 'https', port: number, protocol: 'TCP' };
  await ensure(
    core,
    endpointsKind,
    {
      metadata: { ...metadata, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
      subsets: [{ addresses: ips.map((ip) => ({ ip })), ports: [port] }],
    },
    'subsets',
  );
  await ensure(
    core,
    endpointSliceKind,
    {
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'kubernetes' } },
      addressType: family,
      endpoints: ips.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
      ports: [port],
    },
    'endpoints',
    'ports',
  );
}

const identityOf = ({ ip, port }: Peer): string => `${ip}:${port}`;
type Advertised = Peer & { readonly urls?: readonly string[] };
/** A server that is advertised otherwise than before has another lease; the old one ends by itself. */
const leaseName = ({ urls = [], ...peer }: Advertised): string =>
  `apiserver-${createHash('sha256')
    .update([identityOf(peer), ...urls].join())
    .digest('hex')
    .slice(0, 26)}`;

async function renew(core: Core, own: Advertised): Promise<void> {
  const holderIdentity = identityOf(own);
  const lease = {
    metadata: {
      name: leaseName(own),
      namespace,
      labels: { [identity.label]: identity.value },
      annotations: { [urlsAnnotation]: (own.urls ?? []).join(',') },
    },
    spec: { holderIdentity, leaseDurationSeconds: leaseSeconds, renewTime: microTimeText(core.clock.now()) },
  };
  await ensure(core, leaseKind, lease, 'spec');
}

async function forgetGone(core: Core, leases: readonly Readonly<LeaseObject>[]): Promise<void> {
  const before = core.clock.now() - forgetMs;
  for (const { metadata, spec } of leases) {
    if (Date.parse(spec?.renewTime ?? '') > before) continue;
    const cached = core.cache.cacheOf(leaseKind as AnyKind)?.get(namespace, metadata.name!);
    if (!cached) continue;
    await core.store.delete(cached.key, cached.version).catch((error: unknown) => {
      if (!isReason(error, 'NotFound', 'Conflict')) throw error; // it came back, or another server was faster
    });
  }
}
