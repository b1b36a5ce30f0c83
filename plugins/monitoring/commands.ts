import { type Command, messageOf, t } from '#sdk';
import { prometheusConfig } from './prometheus/config.ts';
import { prometheusManifest } from './prometheus/manifest.ts';
import { prometheusRules } from './prometheus/rules.ts';

interface Flags {
  readonly part: string;
  readonly server?: string;
  readonly token: string;
  readonly ca: string;
  readonly rules: string;
  readonly interval: number;
  readonly discovery: string;
  readonly namespace: string;
  readonly image: string;
}

const prometheus: Command<Flags> = {
  name: 'prometheus',
  help: 'prints what a Prometheus of this cluster needs; `kubectl apply -f -` takes the manifest',
  flags: t.object({
    part: t
      .string()
      .describe('manifest (all of it, for the cluster), config or rules (files, for a Prometheus beside it)')
      .default('manifest'),
    server: t
      .string()
      .describe('of config: the API server as Prometheus reaches it, as https://ADDRESS:6443; absent: from a pod')
      .optional(),
    token: t.string().describe('of config: file with its token').default('token'),
    ca: t.string().describe('of config: file with the authority of the API server').default('ca.crt'),
    rules: t
      .string()
      .describe('of config: file with the rules; those of people are read from rules.d/*.yml beside it')
      .default('rules.yml'),
    interval: t.int().describe('of config: seconds between two looks').default(15),
    discovery: t.string().describe('of config: http, or kubernetes for builds that have it').default('http'),
    namespace: t.string().describe('of manifest: where it runs').default('monitoring'),
    image: t.string().describe('of manifest: of Prometheus').default('docker.io/prom/prometheus:v2.55.1'),
  }),
  run({ flags, print }) {
    print(JSON.stringify(partOf(flags), undefined, 2));
  },
};

function partOf({ part, server, token, ca, rules, interval, discovery, namespace, image }: Flags): object {
  if (part === 'manifest') return prometheusManifest({ namespace, image });
  if (part === 'rules') return prometheusRules();
  if (part !== 'config') throw new Error(`there is no part ${part}: name manifest, config or rules`);
  if (discovery !== 'http' && discovery !== 'kubernetes') throw new Error('--discovery is http or kubernetes');
  if (interval < 1) throw new Error('--interval is at least 1');
  try {
    const way = {
      server,
      tokenFile: token,
      caFile: ca,
      rulesFile: rules,
      intervalSeconds: interval,
      discovery,
    } as const;
    return prometheusConfig(way);
  } catch (error) {
    throw new Error(`--server ${server}: ${messageOf(error)}`);
  }
}

export default { commands: [prometheus as unknown as Command] };
