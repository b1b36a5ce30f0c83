import { isIP } from 'node:net';
import { PintleError } from '#base';
import type { UpOptions } from './decide.ts';
import type { ServiceFlags } from './service-settings.ts';
import { up } from './up.ts';

export interface ServerFlags
  extends Pick<
    UpOptions,
    | 'home'
    | 'yes'
    | 'port'
    | 'detach'
    | 'store'
    | 'podCidr'
    | 'serviceCidr'
    | 'nodePorts'
    | 'cni'
    | 'otlpEndpoint'
    | keyof ServiceFlags
  > {
  readonly advertise?: string;
  readonly schedulable?: boolean;
  readonly nodeName?: string;
  readonly nodeIp?: string;
  readonly nodeGrace?: number;
  readonly evictAfter?: number;
  readonly enable?: string;
  readonly disable?: string;
}

/** `server`: the API server, the controllers and a node of their own, for other hosts to join. */
export function server(flags: ServerFlags): Promise<void> {
  const { advertise, nodeGrace, evictAfter, enable, disable, nodeName, nodeIp, ...same } = flags;
  const addresses = advertise === undefined ? undefined : listOf(advertise).map(hostOf);
  return up({
    ...same,
    role: 'server',
    runtime: 'auto',
    advertise: addresses,
    nodeName: nodeName && nodeNameFlag(nodeName),
    nodeIp: nodeIp ? addressFlag(nodeIp) : addresses?.find((one) => isIP(one) !== 0),
    nodeGraceSeconds: nodeGrace && graceFlag(nodeGrace),
    evictAfterSeconds: evictAfter,
    plugins: pluginsFlag(enable, disable),
  });
}

const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** What --enable and --disable say together. Throws for a plugin in both. */
export function pluginsFlag(enable = '', disable = ''): Record<string, boolean> {
  const [on, off] = [listOf(enable), listOf(disable)];
  const both = on.find((name) => off.includes(name));
  if (both) throw new PintleError('BAD_FLAG', `${both} is in both --enable and --disable`, 'name it in one of them');
  return Object.fromEntries([...on.map((name) => [name, true]), ...off.map((name) => [name, false])]);
}

function hostOf(text: string): string {
  if (isIP(text) !== 0 || /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text)) return text;
  throw new PintleError(
    'BAD_FLAG',
    `--advertise ${text} is no address or host name`,
    'write it as --advertise 10.0.0.1',
  );
}

export function addressFlag(text: string): string {
  if (isIP(text) !== 0) return text;
  throw new PintleError('BAD_FLAG', `--node-ip ${text} is no address`, 'write it as --node-ip 10.0.0.2');
}

const nodeNameMax = 63;
export function nodeNameFlag(text: string): string {
  if (text.length <= nodeNameMax && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(text)) return text;
  throw new PintleError(
    'BAD_FLAG',
    `--node-name ${text} is no name for a node`,
    `use up to ${nodeNameMax} lower-case letters, digits, dots and hyphens`,
  );
}

const graceSecondsMin = 4;
function graceFlag(seconds: number): number {
  if (seconds >= graceSecondsMin && seconds <= 3600) return seconds;
  throw new PintleError(
    'BAD_FLAG',
    `--node-grace ${seconds} is not between ${graceSecondsMin} and 3600`,
    'write it as --node-grace 10',
  );
}
