import type { Service } from '#api';

const variable = (name: string): string => name.replaceAll('-', '_').toUpperCase();

/**
 * Where services are, as environment variables: those of the pod's own namespace when it wants links,
 * and always the API server's (default/kubernetes). Headless services have none.
 */
export function serviceEnv(
  services: readonly Readonly<Service>[],
  namespace: string,
  links: boolean,
): Record<string, string> {
  const env: Record<string, string> = {};
  const chosen = new Map<string, Readonly<Service>>();
  for (const service of services) {
    const ip = service.spec?.clusterIP;
    if (!ip || ip === 'None' || !service.spec?.ports?.length) continue;
    const name = service.metadata.name ?? '';
    const isMaster = service.metadata.namespace === 'default' && name === 'kubernetes';
    if (links && service.metadata.namespace === namespace) chosen.set(name, service);
    else if (isMaster && !chosen.has(name)) chosen.set(name, service);
  }
  for (const service of chosen.values()) addService(env, service);
  return env;
}

function addService(env: Record<string, string>, service: Readonly<Service>): void {
  const ip = service.spec!.clusterIP!;
  const host = ip.includes(':') ? `[${ip}]` : ip;
  const prefix = variable(service.metadata.name ?? '');
  const ports = service.spec!.ports!;
  env[`${prefix}_SERVICE_HOST`] = ip;
  env[`${prefix}_SERVICE_PORT`] = String(ports[0]!.port);
  ports.forEach((port, index) => {
    const protocol = port.protocol ?? 'TCP';
    const url = `${protocol.toLowerCase()}://${host}:${port.port}`;
    if (port.name) env[`${prefix}_SERVICE_PORT_${variable(port.name)}`] = String(port.port);
    if (index === 0) env[`${prefix}_PORT`] = url;
    const each = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
    env[each] = url;
    env[`${each}_PROTO`] = protocol.toLowerCase();
    env[`${each}_PORT`] = String(port.port);
    env[`${each}_ADDR`] = ip;
  });
}
