import type { Clock, Log, Random, Scope } from '#base';
import type { Client, InformerFactory } from '#client';
import {
  type ApiPart,
  type ApiPartContext,
  type Command,
  type ControllersPart,
  isPlugin,
  type KindRegistry,
  type Metrics,
  type NodePart,
  type NodePartContext,
  startControllers,
  startPlugin,
} from '#sdk';
import type { AdmissionList } from './admission-list.ts';
import type { Part } from './builtin.ts';
import { partObjects } from './part-objects.ts';

type Load<T> = () => Promise<{ readonly default: T }>;
/** One plugin of the distribution. Its modules are loaded by the process that runs them, when it starts. */
export interface BuiltinPlugin {
  readonly name: string;
  readonly enabled: boolean;
  readonly requires?: readonly string[];
  /** Its node part makes pods of other hosts reachable, and says when it does: until then a node is not Ready. */
  readonly connectsHosts?: boolean;
  readonly api?: Load<ApiPart>;
  readonly controllers?: Load<ControllersPart>;
  readonly node?: Load<NodePart>;
  /** `./pintle NAME COMMAND`. */
  readonly commands?: Load<{ readonly commands: readonly Command[] }>;
  /** Its node part opens a gate: until then no pod of the host starts. */
  readonly gatesPods?: boolean;
}
interface Seams {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Those that are enabled and have the part; what requires a plugin without that part here does not wait for it. */
function having<K extends 'api' | 'controllers' | 'node'>(
  plugins: readonly BuiltinPlugin[],
  part: K,
  start: (load: NonNullable<BuiltinPlugin[K]>, name: string, scope: Scope) => Promise<void>,
): Part[] {
  const enabled = plugins.filter((one) => one.enabled);
  const elsewhere = new Set(enabled.filter((one) => !one[part]).map(({ name }) => name));
  return enabled.flatMap(({ name, requires = [], [part]: load }) =>
    load
      ? [{ name, requires: requires.filter((one) => !elsewhere.has(one)), start: (scope) => start(load, name, scope) }]
      : [],
  );
}

/** Parts of the API server. Kinds that a part added go with it. */
export const apiParts = (
  plugins: readonly BuiltinPlugin[],
  server: Pick<ApiPartContext, 'kinds' | 'reader' | 'schema' | 'kit' | 'checkMetadata' | 'callWebhook' | 'cluster'> & {
    readonly hooks: AdmissionList;
    /** By path; absent: what parts serve there is not asked for. */
    readonly pages?: {
      has(path: string): boolean;
      set(path: string, answer: () => Response | Promise<Response>): unknown;
      delete(path: string): unknown;
    };
  },
  seams: Seams,
): Part[] =>
  having(plugins, 'api', async (load, name, scope) => {
    const part = (await load()).default;
    await part.start({
      ...seams,
      log: seams.log.with({ plugin: name }),
      scope,
      signal: scope.signal,
      reader: server.reader,
      schema: server.schema,
      callWebhook: server.callWebhook,
      cluster: server.cluster,
      kit: server.kit,
      checkMetadata: server.checkMetadata,
      objects: partObjects(seams.client),
      kinds: scopedKinds(server.kinds, scope),
      admit: (hook) => void scope.use(server.hooks.add(hook)),
      serve: (path, answer) => {
        if (server.pages?.has(path)) throw new Error(`${path} is served already`);
        server.pages?.set(path, answer);
        scope.defer(() => void server.pages?.delete(path));
      },
    });
  });

function scopedKinds(kinds: KindRegistry, scope: Scope): KindRegistry {
  const own = new Map<string, () => Promise<void>>();
  const keyOf = (kind: Parameters<KindRegistry['remove']>[0]) => `${kind.group}/${kind.version}/${kind.plural}`;
  scope.defer(async () => {
    for (const withdraw of [...own.values()].reverse()) await withdraw();
  });
  return {
    all: () => kinds.all(),
    async add(served) {
      await kinds.add(served);
      own.set(keyOf(served.kind), () => kinds.remove(served.kind));
    },
    async remove(kind) {
      own.delete(keyOf(kind));
      await kinds.remove(kind);
    },
  };
}

/** Parts of the controllers process: plugin() definitions run by the same SDK that runs everybody's. */
export const controllersParts = (
  plugins: readonly BuiltinPlugin[],
  process: { readonly informers: InformerFactory; readonly metrics: Metrics },
  seams: Seams,
): Part[] =>
  having(plugins, 'controllers', async (load, name, scope) => {
    const part = (await load()).default;
    const runtime = { ...seams, ...process, log: seams.log.with({ plugin: name }) };
    if (isPlugin(part)) scope.use(await startPlugin(part, runtime));
    else scope.use(await startControllers(part.controllers, runtime));
  });

/** Parts of a node process. */
export const nodeParts = (
  plugins: readonly BuiltinPlugin[],
  node: Pick<
    NodePartContext,
    'informers' | 'nodeName' | 'page' | 'network' | 'backends' | 'underlay' | 'machine' | 'api'
  > & {
    readonly folderOf: (name: string) => string;
    readonly gateOf: (name: string) => NodePartContext['pods']['gate'];
  },
  seams: Seams,
): Part[] =>
  having(plugins, 'node', async (load, name, scope) => {
    const { folderOf, gateOf, ...shared } = node;
    const own = {
      pods: { gate: gateOf(name) },
      log: seams.log.with({ plugin: name }),
      scope,
      folder: folderOf(name),
    };
    await (await load()).default.start({ ...seams, ...shared, ...own });
  });
