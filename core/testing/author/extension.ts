import { createLog, type Log } from '#base';
import {
  type ApiPartContext,
  answerHooks,
  type Contributions,
  type Plugin,
  RestWatches,
  restKindFacts,
  type SchedulingAdviser,
  startPlugin,
} from '#sdk';
import { strategyKit } from '../../apiserver/strategies/kit.ts';
import { checkMetadata } from '../../apiserver/strategies/rules/metadata.ts';
import { createInformers } from '../../client/cache-informer.ts';
import { createClient } from '../../client/http.ts';
import { startParts } from '../../host/builtin.ts';
import { pluginAdmission } from '../../host/hooks/admission.ts';
import { PluginApis } from '../../host/hooks/apis.ts';
import { convertingByPlugins } from '../../host/hooks/conversion.ts';
import type { AskPlugin } from '../../host/hooks/door.ts';
import { hooksOf } from '../../host/hooks/points.ts';
import type { HookStatus } from '../../host/kind.ts';
import { apiParts, type BuiltinPlugin, controllersParts } from '../../host/parts.ts';
import { PluginMetrics } from '../../host/plugin-metrics.ts';
import { providesOf } from '../../host/provides.ts';
import { connect, type ExtendedServer, tokenOfPlugin } from '../components.ts';
import type { Network } from '../network.ts';
import type { SimProcess } from '../process.ts';
import type { WorldExtension } from '../world.ts';

export interface Subject {
  readonly plugin: Plugin;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly metrics: PluginMetrics;
  readonly log: (line: string) => void;
  /** Of the newest life; hooks are called in the server's process. */
  contributions?: Contributions;
  watches?: RestWatches;
  hooksChanged?: () => void;
}

/** A world with the built-in plugins `parts`, and the subject as the process `plugin`. */
export const extensionOf = (
  parts: readonly BuiltinPlugin[],
  subject: Subject | undefined,
  cluster?: ApiPartContext['cluster'],
): WorldExtension => ({
  server: (process, extended) => extendServer(process, extended, parts, subject, cluster),
  advisers: subject && advisersOf(subject),
  async controllers(process, network) {
    const { clock, random, log } = process;
    const { client, informers } = connect(process, network, 'controllers', false);
    const metrics = new PluginMetrics();
    await startParts(controllersParts(parts, { informers, metrics }, { client, clock, random, log }), { clock, log });
  },
  async plugin(process, network) {
    if (!subject) return;
    subject.contributions = await startSubject(process, network, subject);
    subject.watches = new RestWatches(process.clock);
    subject.hooksChanged?.();
  },
});

async function extendServer(
  process: SimProcess,
  extended: ExtendedServer,
  parts: readonly BuiltinPlugin[],
  subject: Subject | undefined,
  cluster: ApiPartContext['cluster'],
): Promise<void> {
  const { server, schema, hooks } = extended;
  const { clock, random, log } = process;
  const { kinds, reader } = server;
  const client = createClient({
    fetch: (request) => process.guard(server.fetch(request)),
    baseUrl: 'http://localhost',
    token: 'user',
    userAgent: 'apiserver',
  });
  const list = apiParts(
    parts,
    {
      kinds,
      reader,
      schema,
      hooks,
      kit: strategyKit,
      cluster,
      checkMetadata: (next, current) => checkMetadata(next, current),
      callWebhook: convertingByPlugins(askOf(subject), () => kinds.all(), undefined),
    },
    { client, clock, random, log },
  );
  const { reports } = await startParts(list, { clock, log });
  const failed = reports.find(({ state }) => state !== 'active');
  if (failed) throw new Error(`${failed.name}: ${failed.error}`);
  if (subject) addHooks(subject, extended, log);
}

async function startSubject(process: SimProcess, network: Network, subject: Subject): Promise<Contributions> {
  const { clock, random } = process;
  const { name } = subject.plugin;
  const client = createClient({
    fetch: network.fetchOf(process),
    baseUrl: 'http://localhost',
    token: tokenOfPlugin(name),
    userAgent: name,
  });
  const log: Log = createLog(subject.log, { now: clock.now });
  const informers = createInformers({ client, clock, random, log, signal: new AbortController().signal });
  const { metrics, config } = subject;
  const running = await startPlugin(subject.plugin, { client, informers, clock, random, log, config, metrics });
  return running.contributions;
}

/** Its hooks in the server, by the same code as in production; asked without a way between, in any life. */
function addHooks(subject: Subject, { server, schema, hooks, known, answering }: ExtendedServer, log: Log): void {
  const { name } = subject.plugin;
  const ask = askOf(subject);
  const apis = new PluginApis({ kinds: server.kinds, kit: strategyKit, ask, log });
  answering.ask = ask;
  subject.hooksChanged = () => {
    known.set(name, statusesOf(subject));
    apis.set(name, (subject.contributions?.apis ?? []).map(restKindFacts));
  };
  subject.hooksChanged();
  hooks.add(pluginAdmission(known, ask, server.kinds, schema));
}
function statusesOf({ contributions, plugin }: Subject): HookStatus[] {
  if (!contributions) return [];
  const resources = (plugin.resources ?? []).map(({ manifest }) => manifest);
  return hooksOf({ provides: providesOf(contributions), resources }, { approvedNeeds: plugin.needs as never });
}
const askOf =
  (subject: Subject | undefined): AskPlugin =>
  async (plugin, hook, method, asked) => {
    if (!subject?.contributions) throw new Error(`plugin ${plugin} does not run: ${hook}`);
    return (await answerHooks(subject.contributions, subject.watches)(method, asked)) as never;
  };

/** Its scheduling rules, for the scheduler. */
const advisersOf = (subject: Subject) => (): SchedulingAdviser[] =>
  (subject.contributions?.scheduling ?? []).map(({ name: rule }) => {
    const ask = askOf(subject);
    const { name } = subject.plugin;
    return {
      name: `${name}/${rule}`,
      required: false, // as long as the operator has granted nothing else
      advise: (pod, nodes) => ask(name, `schedule ${rule}`, 'schedule', { rule, pod, nodes }),
      permit: (pod, node) => ask(name, `schedule ${rule}`, 'permit', { rule, pod, node }),
    };
  });
