import { podKind } from '#api';
import type { Exec } from '#base';
import type { ControllerSpec, EventRecorder, SchedulerPlugin, SchedulingAdviser, UserInfo } from '#sdk';
import { createAuthorizer } from '../apiserver/auth/authorizer.ts';
import { createNodeUses } from '../apiserver/auth/node-authorizer.ts';
import { createNodeRestriction } from '../apiserver/auth/node-restriction.ts';
import type { AnyStrategy, ApiServer, ApiServerOptions, TokenIssuer } from '../apiserver/contract.ts';
import { patches } from '../apiserver/patch/patches.ts';
import { createSchemaEngine, type DefinableSchema } from '../apiserver/schema/schema.ts';
import { createApiServer } from '../apiserver/server.ts';
import { strategies } from '../apiserver/strategies/index.ts';
import { createInformers } from '../client/cache-informer.ts';
import { createClient } from '../client/http.ts';
import { coreControllers } from '../controllers/index.ts';
import { AdmissionList } from '../host/admission-list.ts';
import { KnownHooks } from '../host/hooks/admission.ts';
import { pluginAuthenticators } from '../host/hooks/authenticators.ts';
import { withPluginAuthorizers } from '../host/hooks/authorizers.ts';
import type { AskPlugin } from '../host/hooks/door.ts';
import { accountNamespace } from '../host/rbac.ts';
import { startKubelet } from '../kubelet/kubelet.ts';
import type { FakeRuntime } from '../kubelet/runtimes/fake.ts';
import { startScheduler } from '../scheduler/scheduler.ts';
import { startControllers } from '../sdk/controller.ts';
import { createEventRecorder } from '../sdk/recorder.ts';
import type { Store } from '../store/store.ts';
import { type Disk, memoryFiles } from './files.ts';
import type { Network } from './network.ts';
import { never, type SimProcess } from './process.ts';

/** The production components, each started as one simulated process. */

const serviceRange = '10.96.0.0/16';
const users: Readonly<Record<string, { name: string; groups: string[] }>> = {
  user: { name: 'admin', groups: ['system:masters'] },
  controllers: { name: 'system:kube-controller-manager', groups: ['system:authenticated'] },
  scheduler: { name: 'system:kube-scheduler', groups: ['system:authenticated'] },
};
const pluginToken = 'plugin:';
/** What a plugin's process shows in place of its account's token. */
export const tokenOfPlugin = (name: string): string => pluginToken + name;
const knownUser = (token: string): UserInfo | undefined =>
  users[token] ?? (token.startsWith(pluginToken) ? accountOf(token.slice(pluginToken.length)) : undefined);
const nodeUser = (token: string): UserInfo => ({
  name: `system:node:${token}`,
  groups: ['system:nodes', 'system:authenticated'],
});

const accountOf = (plugin: string) => ({
  name: `system:serviceaccount:${accountNamespace}:${plugin}`,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${accountNamespace}`, 'system:authenticated'],
});

/** Tokens without cryptography: WebCrypto settles outside of simulated time. */
const tokensOf = (process: SimProcess): TokenIssuer => ({
  async issue({ namespace, name, uid }, spec) {
    const seconds = Number(spec['expirationSeconds'] ?? 3_600);
    const nowMs = process.clock.now();
    return {
      token: `simulated.${namespace}.${name}.${uid}.${nowMs}`,
      expirationTimestamp: new Date(nowMs + seconds * 1_000).toISOString(),
    };
  },
  async review() {
    return { authenticated: false };
  },
});

/** A server, and what plugins extend it by. */
export interface ExtendedServer {
  readonly server: ApiServer;
  readonly schema: DefinableSchema;
  readonly hooks: AdmissionList;
  /** Which hooks of plugins are attached; authenticators and authorizers among them are asked. */
  readonly known: KnownHooks;
  /** Who answers them; nobody does at first. */
  readonly answering: { ask: AskPlugin };
}

export async function runApiServer(
  process: SimProcess,
  store: Store,
  schema: DefinableSchema = createSchemaEngine(),
): Promise<ExtendedServer> {
  const hooks = new AdmissionList();
  const known = new KnownHooks();
  const answering: ExtendedServer['answering'] = { ask: () => Promise.reject(new Error('there is no plugin')) };
  const ask: AskPlugin = (...asked) => answering.ask(...asked);
  const { clock, log } = process;
  const pluginUser = pluginAuthenticators(known, ask, { clock, log });
  const holder: { server?: ApiServer } = {};
  const nodeUses = createNodeUses((name) =>
    (holder.server?.reader.list(podKind) ?? []).filter(({ spec }) => spec?.nodeName === name),
  );
  const options: ApiServerOptions = {
    store,
    clock: process.clock,
    random: process.random,
    log: process.log,
    authenticator: {
      async authenticate({ headers }) {
        const token = (headers.get('authorization') ?? '').slice(7);
        return knownUser(token) ?? (await pluginUser(token)) ?? nodeUser(token);
      },
    },
    authorizer: withPluginAuthorizers(createAuthorizer({ nodeUses }), known, ask, { clock, log }),
    admission: [createNodeRestriction(nodeUses), hooks],
    tokens: tokensOf(process),
    schema,
    patches,
    strategies: strategies as readonly AnyStrategy[],
    serviceRange,
    advertise: { ip: '192.0.2.1', port: 6443 },
  };
  holder.server = await createApiServer(options);
  return { server: holder.server, schema, hooks, known, answering };
}

/** What a component needs to speak as itself. */
export function connect(process: SimProcess, network: Network, component: string, withEvents = true) {
  const { clock, random, log } = process;
  const seams = { clock, random, log };
  const client = createClient({
    fetch: network.fetchOf(process),
    baseUrl: 'http://localhost',
    token: process.name,
    userAgent: process.name,
  });
  const informers = createInformers({ client, ...seams, signal: new AbortController().signal });
  const events: EventRecorder = withEvents ? createEventRecorder({ client, ...seams, component }) : { event() {} };
  return { ...seams, client, informers, events };
}

export async function runControllers(
  process: SimProcess,
  network: Network,
  specs: readonly ControllerSpec<never>[] = coreControllers({ rootCa: 'simulated' }),
  withEvents = true,
): Promise<void> {
  const { events, ...parts } = connect(process, network, 'controllers', withEvents);
  await startControllers(specs, withEvents ? parts : { ...parts, events });
}

export async function runScheduler(
  process: SimProcess,
  network: Network,
  rules?: readonly SchedulerPlugin[],
  withEvents = true,
  advisers?: () => readonly SchedulingAdviser[],
): Promise<void> {
  await startScheduler({ ...connect(process, network, 'default-scheduler', withEvents), rules, advisers });
}

/** A machine: what outlives the kubelet that works on it. */
export interface SimNode {
  readonly name: string;
  readonly index: number;
  readonly runtime: FakeRuntime;
  readonly disk: Disk;
  readonly capacity: Readonly<Record<string, string>>;
}
const noPrograms: Exec = { run: async () => ({ code: 127, stdout: '', stderr: 'no programs in the simulator' }) };

export async function runKubelet(
  process: SimProcess,
  network: Network,
  node: SimNode,
  withEvents = true,
): Promise<void> {
  const pause = () => process.clock.sleep(process.random.next() * 0.05);
  const kubelet = await startKubelet({
    ...connect(process, network, 'kubelet', withEvents),
    nodeName: node.name,
    nodeIp: `192.0.2.${10 + node.index}`,
    runtime: runtimeOf(process, node.runtime),
    stateFolder: '/state',
    files: memoryFiles(node.disk, pause),
    exec: noPrograms,
    capacity: node.capacity,
    nodeInfo: { kernelVersion: 'simulated', osImage: 'simulated', architecture: 'amd64' },
    clusterDns: ['10.96.0.10'],
  });
  await kubelet.registered;
}

/** The engine as one life of the kubelet holds it: what was asked is done, and the dead never hear of it. */
function runtimeOf(process: SimProcess, engine: FakeRuntime): FakeRuntime {
  return new Proxy(engine, {
    get(target, name) {
      const verb: unknown = Reflect.get(target, name, target);
      if (typeof verb !== 'function') return verb;
      return (...words: unknown[]) => {
        if (!process.alive) return never();
        const outcome: unknown = Reflect.apply(verb, target, words);
        if (outcome instanceof Promise) return process.guard(outcome);
        if (outcome && typeof outcome === 'object' && Symbol.asyncIterator in outcome)
          return process.guardEach(outcome as AsyncIterable<unknown>);
        return outcome;
      };
    },
  });
}
