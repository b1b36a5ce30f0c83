import { apiVersionOf, type KubeObject, StatusError } from '#api';
import { createLog, type Log } from '#base';
import { type AdmissionHook, type Admitted, type Contributions, type Plugin, startPlugin } from '#sdk';
import { strategyKit } from '../../apiserver/strategies/kit.ts';
import { checkMetadata } from '../../apiserver/strategies/rules/metadata.ts';
import { createInformers } from '../../client/cache-informer.ts';
import { createClient } from '../../client/http.ts';
import { startParts } from '../../host/builtin.ts';
import { apiParts, type BuiltinPlugin, controllersParts } from '../../host/parts.ts';
import { PluginMetrics } from '../../host/plugin-metrics.ts';
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
}

/** A world with the built-in plugins `parts`, and the subject as the process `plugin`. */
export const extensionOf = (parts: readonly BuiltinPlugin[], subject: Subject | undefined): WorldExtension => ({
  server: (process, extended) => extendServer(process, extended, parts, subject),
  async controllers(process, network) {
    const { clock, random, log } = process;
    const { client, informers } = connect(process, network, 'controllers', false);
    const metrics = new PluginMetrics();
    await startParts(controllersParts(parts, { informers, metrics }, { client, clock, random, log }), { clock, log });
  },
  async plugin(process, network) {
    if (subject) subject.contributions = await startSubject(process, network, subject);
  },
});

async function extendServer(
  process: SimProcess,
  { server, schema, hooks }: ExtendedServer,
  parts: readonly BuiltinPlugin[],
  subject: Subject | undefined,
): Promise<void> {
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
    { kinds, reader, schema, hooks, kit: strategyKit, checkMetadata: (next, current) => checkMetadata(next, current) },
    { client, clock, random, log },
  );
  const { reports } = await startParts(list, { clock, log });
  const failed = reports.find(({ state }) => state !== 'active');
  if (failed) throw new Error(`${failed.name}: ${failed.error}`);
  if (subject) hooks.add(hookOf(subject));
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

/** The plugin's admission hooks. */
function hookOf(subject: Subject): AdmissionHook {
  const { name } = subject.plugin;
  const admitted = (request: Parameters<NonNullable<AdmissionHook['validate']>>[0]) =>
    request.subresource === '' && request.operation !== 'CONNECT' ? request : undefined;
  return {
    name,
    async mutate(request) {
      const { kind, object, operation, user, dryRun } = admitted(request) ?? {};
      for (const { resource, change } of subject.contributions?.mutators ?? [])
        if (object && kind && apiVersionOf(kind) === apiVersionOf(resource.kind) && kind.kind === resource.kind.kind)
          await change({ operation, object, user, dryRun } as unknown as Admitted<never>);
    },
    async validate(request) {
      const { kind, object, current, operation, user, dryRun } = admitted(request) ?? {};
      for (const { resource, judge } of subject.contributions?.validators ?? []) {
        if (!kind || kind.group !== resource.kind.group || kind.kind !== resource.kind.kind) continue;
        const view = (one: object | undefined) => one && resource.read(one as KubeObject);
        const call = { operation, object: view(object ?? current), old: view(current), user, dryRun };
        const verdict = await judge(call as unknown as Admitted<never>);
        if (verdict === true) continue;
        const why = typeof verdict === 'string' ? `: ${verdict}` : ' without explanation';
        throw new StatusError(403, 'Forbidden', `admission plugin "${name}" denied the request${why}`);
      }
    },
  };
}
