import { type EndpointSlice, endpointSliceKind, errors, podKind, type Service, serviceKind } from '#api';
import type { Random } from '#base';
import type { Reader } from '../contract.ts';
import { checkedAddress, hostPort } from './address.ts';

/** `scheme:name:port`, `name:port` or `name`. Throws 400. */
export function splitProxyName(id: string, what: string): { scheme: 'http' | 'https'; name: string; port: string } {
  const parts = id.split(':');
  const [scheme, name, port] = parts.length === 3 ? parts : ['http', parts[0], parts[1] ?? ''];
  if (parts.length > 3 || !name || (scheme !== 'http' && scheme !== 'https' && scheme !== ''))
    throw errors.badRequest(`invalid ${what} request "${id}"`);
  return { scheme: scheme === 'https' ? 'https' : 'http', name, port: port ?? '' };
}

/** `http://10.0.0.5:8080`, of a pod that lives. The port is the named one's, else the first that the pod declares. */
export function podOrigin(reader: Reader, namespace: string, id: string, allowedRanges: readonly string[]): string {
  const { scheme, name, port } = splitProxyName(id, 'pod');
  const pod = reader.get(podKind, namespace, name);
  if (!pod) throw errors.notFound('pods', name);
  if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed')
    throw errors.badRequest('address not allowed'); // its address may be another pod's by now
  const declared = pod.spec?.containers?.find((container) => container.ports?.length)?.ports?.[0]?.containerPort;
  const number = port === '' ? (declared ?? (scheme === 'https' ? 443 : 80)) : portNumber(port);
  return `${scheme}://${hostPort(checkedAddress(pod.status?.podIP, allowedRanges), number)}`;
}

/** A ready endpoint of the service, chosen by chance. The port is given by name or number, or is the only one. */
export function serviceOrigin(
  reader: Reader,
  namespace: string,
  id: string,
  allowedRanges: readonly string[],
  random: Random,
): string {
  const { scheme, name, port } = splitProxyName(id, 'service');
  const service = reader.get(serviceKind, namespace, name);
  if (!service) throw errors.notFound('services', name);
  const portName = servicePortName(service, port);
  const slices = reader
    .list(endpointSliceKind, namespace)
    .filter((slice) => slice.metadata?.labels?.['kubernetes.io/service-name'] === name);
  const targets = slices.flatMap((slice) => readyTargets(slice, portName));
  const target = targets[Math.floor(random.next() * targets.length)];
  if (!target) throw errors.unavailable(`no endpoints available for service "${id}"`);
  return `${scheme}://${hostPort(
    checkedAddress(target.ip, allowedRanges, (address) => isLive(reader, address)),
    target.port,
  )}`;
}

/** Endpoints can be written by hand: one in the cluster's own range must be a live pod's or a service's address. */
const isLive = (reader: Reader, address: string): boolean =>
  reader
    .list(podKind)
    .some(({ status }) => status?.podIP === address && status.phase !== 'Succeeded' && status.phase !== 'Failed') ||
  reader.list(serviceKind).some(({ spec }) => spec?.clusterIP === address);

function servicePortName(service: Readonly<Service>, wanted: string): string {
  const ports = service.spec?.ports ?? [];
  if (wanted === '' && ports.length === 1) return ports[0]?.name ?? '';
  const found = ports.find(({ name, port }) => (name ?? '') === wanted || String(port) === wanted);
  if (!found)
    throw errors.unavailable(`no service port "${wanted}" found for service "${service.metadata?.name ?? ''}"`);
  return found.name ?? '';
}

function readyTargets(slice: Readonly<EndpointSlice>, portName: string): { ip: string; port: number }[] {
  const port = slice.ports?.find(
    ({ name, protocol }) => (name ?? '') === portName && (protocol ?? 'TCP') === 'TCP',
  )?.port;
  if (!port) return [];
  return (slice.endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses }) => (addresses?.[0] ? [{ ip: addresses[0], port }] : []));
}

export function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) throw errors.badRequest(`invalid port "${text}"`);
  return port;
}
