import { defaultLimits } from './model.ts';

/** What people can say, in the ConfigMap kube-system/ingress. */
export interface Settings {
  /** `auto`: HAProxy where it is installed, else the built-in one. */
  readonly driver: 'builtin' | 'haproxy' | 'auto';
  /** For requests that no rule is for; absent: 404. */
  readonly defaultBackend?: { readonly namespace: string; readonly name: string; readonly port: number };
  readonly trustedProxies: readonly string[];
  /** Labels that a node must have for a data plane to run on it. Empty: every node. */
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly connectionsMax: number;
  /** Whether the Service becomes one of type LoadBalancer as soon as there is a pool of addresses. */
  readonly loadBalancer: 'auto' | 'never';
}
export interface ReadSettings {
  readonly settings: Settings;
  /** What was left out, in words. The rest is in force. */
  readonly problems: readonly string[];
}
const standard: Settings = {
  driver: 'builtin',
  trustedProxies: [],
  nodeLabels: {},
  connectionsMax: defaultLimits.connectionsMax,
  loadBalancer: 'auto',
};
const connectionsMaxMost = 200_000;
const textBytesMax = 16_384;
const cidr4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d|[12]\d|3[0-2])$/;
const backend = /^([a-z0-9-]{1,63})\/([a-z0-9-]{1,63}):(\d{1,5})$/;
const label = /^([A-Za-z0-9._/-]{1,317})(?:=([A-Za-z0-9._-]{0,63}))?$/;

/** How each entry is read: undefined is a mistake. */
const readers: { readonly [K in keyof Settings]-?: (text: string) => Settings[K] | undefined } = {
  driver: (text) => (['builtin', 'haproxy', 'auto'] as const).find((one) => one === text),
  defaultBackend(text) {
    const [, namespace, name, port] = backend.exec(text) ?? [];
    return namespace && name && Number(port) > 0 && Number(port) < 65_536
      ? { namespace, name, port: Number(port) }
      : undefined;
  },
  trustedProxies(text) {
    const ranges = words(text);
    const isFine = (range: string) =>
      cidr4
        .exec(range)
        ?.slice(1, 5)
        .every((part) => Number(part) < 256);
    return ranges.every(isFine) ? ranges : undefined;
  },
  nodeLabels(text) {
    const pairs = words(text).map((word) => label.exec(word));
    return pairs.every((pair) => pair !== null)
      ? Object.fromEntries(pairs.map((pair) => [pair![1]!, pair![2] ?? '']))
      : undefined;
  },
  connectionsMax: (text) =>
    /^\d{1,6}$/.test(text) && Number(text) > 0 && Number(text) <= connectionsMaxMost ? Number(text) : undefined,
  loadBalancer: (text) => (['auto', 'never'] as const).find((one) => one === text),
};
const wanted: Readonly<Record<keyof Settings, string>> = {
  loadBalancer: 'auto or never',
  driver: 'builtin, haproxy or auto',
  defaultBackend: 'namespace/service:port',
  trustedProxies: 'ranges of IPv4 addresses such as 10.0.0.0/8, with commas',
  nodeLabels: 'labels such as role=edge, with commas',
  connectionsMax: `a number from 1 to ${connectionsMaxMost}`,
};

/** Reads the ConfigMap's data. Nothing throws: a mistake in one entry must not stop the ingress. Pure. */
export function readSettings(data: Readonly<Record<string, string>> = {}): ReadSettings {
  const problems: string[] = [];
  const settings: Record<string, unknown> = { ...standard };
  for (const [name, text] of Object.entries(data)) {
    if (!Object.hasOwn(readers, name)) {
      problems.push(`${name} is no setting`);
      continue;
    }
    const key = name as keyof Settings;
    const value = text.length <= textBytesMax ? readers[key](text.trim()) : undefined;
    if (value === undefined) problems.push(`${name}: wanted is ${wanted[key]}`);
    else settings[name] = value;
  }
  return { settings: settings as unknown as Settings, problems };
}

const words = (text: string): string[] =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean);

/** Whether a data plane runs on a node with these labels. A label without a value must be there, with any. */
export const runsOn = ({ nodeLabels }: Settings, labels: Readonly<Record<string, string>> = {}): boolean =>
  Object.entries(nodeLabels).every(([name, value]) => (value === '' ? name in labels : labels[name] === value));
