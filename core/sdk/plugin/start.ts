import type { Kind, KubeObject } from '#api';
import { type Clock, type Log, PintleError, type Random, Scope } from '#base';
import type { Client, InformerFactory } from '#client';
import { specOf, startControllers } from '../controller.ts';
import type { ControllerSpec } from '../reconciler.ts';
import { apiOf, kindOfResource } from './api.ts';
import type { ContributionCalls, Registered } from './contributions.ts';
import type { CustomObject, CustomResource } from './crd.ts';
import { Deadlines } from './deadline.ts';
import { type Discover, discoverWith, foreignNames } from './foreign.ts';
import { type HookedKind, hookedKind } from './hooked-kind.ts';
import type { HookVerb, Needs } from './needs.ts';
import type { Admitted, Judgement, Metrics, Plugin, PluginContext } from './plugin.ts';
import { controllerOf } from './reconcile.ts';
import type { AnySchema } from './schema.ts';
import { syncControllerOf } from './sync.ts';

const setupMsMax = 10_000;

export interface PluginRuntime {
  /** Speaks as the plugin's own account. */
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** As the operator wrote it; the schema's defaults are filled in here. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly metrics: Metrics;
  readonly nodeName?: string;
  /** Told of reconciles that take too long; of its own when nobody asks. */
  readonly deadlines?: Deadlines;
  /** How kinds of others that the plugin needs are found; default: by asking the API server. */
  readonly discover?: Discover;
}
/** Everything that a plugin registered in setup(), as data. */
export interface Contributions extends Registered {
  readonly resources: readonly CustomResource[];
  readonly controllers: readonly ControllerSpec<never>[];
  readonly validators: readonly {
    resource: HookedKind;
    judge: (request: Admitted<never>) => Judgement | Promise<Judgement>;
    on: readonly Admitted<unknown>['operation'][];
  }[];
  readonly mutators: readonly {
    resource: HookedKind;
    change: (request: Admitted<never>) => void | Promise<void>;
  }[];
}
export interface RunningPlugin extends AsyncDisposable {
  readonly contributions: Contributions;
}
type Wide = PluginContext<Readonly<Record<string, readonly string[]>>, unknown>;

/** A plugin that is set up and does nothing yet. */
export interface PreparedPlugin extends RunningPlugin {
  /** Starts the informers of its controllers; resolves when their caches are filled. */
  sync(): Promise<void>;
  /** From now on it reconciles. */
  activate(): Promise<void>;
}

/** Calls setup(). After a failure, or on disposal, all that it made is undone in reverse. */
export async function preparePlugin(plugin: Plugin, runtime: PluginRuntime): Promise<PreparedPlugin> {
  const scope = new Scope();
  try {
    const contributions = await collect(plugin, runtime, scope);
    const { client, informers, clock, random, log } = runtime;
    return {
      contributions,
      async sync() {
        const kinds = contributions.controllers.flatMap(({ watches, owns = [], alsoOn = [] }) => [
          watches,
          ...owns,
          ...alsoOn.map(({ kind }) => kind),
        ]);
        await Promise.all(kinds.map((kind) => informers.informer(kind as Kind<unknown>).synced));
      },
      async activate() {
        const seams = { client, informers, clock, random, log, component: plugin.name };
        scope.use(await startControllers(contributions.controllers, seams));
      },
      [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
    };
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}

/** Calls setup() and starts the controllers it registered. */
export async function startPlugin(plugin: Plugin, runtime: PluginRuntime): Promise<RunningPlugin> {
  const prepared = await preparePlugin(plugin, runtime);
  await prepared.activate();
  return prepared;
}

/** Runs setup() within its limit and returns what it registered. Registering after setup() is refused. */
export async function collect(plugin: Plugin, runtime: PluginRuntime, scope: Scope): Promise<Contributions> {
  const own = (plugin.resources ?? []) as readonly CustomResource[];
  const kindOf = await kindFinder(plugin, own, runtime);
  const found = nothingYet(own);
  const { deadlines = new Deadlines() } = runtime;
  let open = true;
  const register =
    <A extends unknown[]>(what: string, add: (...args: A) => void) =>
    (...args: A): void => {
      if (!open)
        throw new PintleError(
          'PLUGIN_LATE',
          `plugin ${plugin.name}: ${what}() was called after setup() had returned`,
          'register everything in setup()',
        );
      add(...args);
    };
  const declared = (resource: CustomResource): CustomResource => {
    if (own.includes(resource)) return resource;
    throw new PintleError(
      'PLUGIN_UNDECLARED',
      `plugin ${plugin.name}: ${resource.kind.kind} is not among its resources`,
      `add it to resources: [${resource.kind.kind}]`,
    );
  };
  const hooked = (resource: CustomResource | string, verb: HookVerb): HookedKind =>
    typeof resource === 'string' ? hookedKind(plugin, resource, verb, kindOf) : declared(resource);
  const keep = (spec: ControllerSpec<CustomObject>): unknown => found.controllers.push(specOf(spec));
  const context: Wide = {
    api: apiOf((plugin.needs ?? {}) as Needs, runtime.client, plugin.name, kindOf) as Wide['api'],
    config: configOf(plugin, runtime.config),
    metrics: runtime.metrics,
    nodeName: runtime.nodeName,
    now: () => runtime.clock.now(),
    signal: scope.signal,
    log: (message, fields) => runtime.log.info(message, { plugin: plugin.name, ...fields }),
    reconcile: register('reconcile', (resource: CustomResource, options, run) =>
      keep(controllerOf(plugin.name, declared(resource), options as never, run as never, kindOf, deadlines)),
    ) as Wide['reconcile'],
    sync: register('sync', (resource: CustomResource, { owns }, decide) =>
      keep(syncControllerOf(plugin.name, declared(resource), owns as never, decide as never, kindOf, deadlines)),
    ) as Wide['sync'],
    validate: register('validate', (resource: CustomResource | string, judge, options?) =>
      found.validators.push({
        resource: hooked(resource, 'validate'),
        judge: judge as never,
        on: (options as { on?: Admitted<unknown>['operation'][] } | undefined)?.on ?? ['CREATE', 'UPDATE'],
      }),
    ) as Wide['validate'],
    mutate: register('mutate', (resource: CustomResource | string, change) =>
      found.mutators.push({ resource: hooked(resource, 'mutate'), change: change as never }),
    ) as Wide['mutate'],
    ...registering(register, found),
  };
  try {
    await withinLimit(plugin.name, runtime.clock, plugin.setup(context as never));
  } finally {
    open = false;
  }
  return found;
}

async function withinLimit(name: string, clock: Clock, work: void | Promise<void>): Promise<void> {
  const limit = new AbortController();
  const late = clock.sleep(setupMsMax, limit.signal).then(() => {
    if (!limit.signal.aborted)
      throw new PintleError(
        'PLUGIN_SETUP_SLOW',
        `plugin ${name}: setup() took more than ${setupMsMax} ms`,
        'register in setup() and work in reconcile()',
      );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    limit.abort();
  }
}

/** By name: built-in kinds, the plugin's own, and those of others that its needs name. */
async function kindFinder(plugin: Plugin, own: readonly CustomResource[], { discover, client }: PluginRuntime) {
  const ownKinds = own.map(({ kind }) => kind);
  const others = await (discover ?? discoverWith(client))(foreignNames(plugin.needs ?? {}, ownKinds));
  return (name: string): Kind<KubeObject> => kindOfResource(name, [...ownKinds, ...others]);
}

type Found = { -readonly [K in keyof Contributions]: Contributions[K][number][] };
const nothingYet = (resources: readonly CustomResource[]): Found => ({
  resources: [...resources],
  controllers: [],
  validators: [],
  mutators: [],
  scheduling: [],
  apis: [],
  authenticators: [],
  authorizers: [],
  commands: [],
  panels: [],
  networks: [],
  proxies: [],
  runtimes: [],
  volumes: [],
});

/** The calls that only keep what they are given. A name twice is refused: hooks are found by it. */
function registering(
  register: <A extends unknown[]>(what: string, add: (...args: A) => void) => (...args: A) => void,
  found: Found,
): ContributionCalls {
  const keeping = <T extends object>(what: keyof ContributionCalls, list: T[], nameOf: (one: T) => string) =>
    register(what, (one: T) => {
      if (list.some((other) => nameOf(other) === nameOf(one)))
        throw new Error(`${what}: there is a ${nameOf(one)} already`);
      list.push(one);
    });
  const byName = ({ name }: { readonly name: string }): string => name;
  return {
    schedule: keeping('schedule', found.scheduling, byName),
    rest: keeping('rest', found.apis, ({ group, version, kind }) => `${group}/${version} ${kind}`),
    authenticate: keeping('authenticate', found.authenticators, byName),
    authorize: keeping('authorize', found.authorizers, byName),
    command: keeping('command', found.commands, byName),
    panel: keeping('panel', found.panels, byName),
    network: keeping('network', found.networks, byName),
    proxy: keeping('proxy', found.proxies, byName),
    runtime: keeping('runtime', found.runtimes, byName),
    volume: keeping('volume', found.volumes, byName),
  };
}

/** Defaults filled at the top level, read through the schema. Whether it fits the schema is checked at install. */
function configOf(plugin: Plugin, given: Readonly<Record<string, unknown>> = {}): unknown {
  const schema = plugin.config as AnySchema | undefined;
  if (!schema) return given;
  const properties = (schema.json['properties'] ?? {}) as Record<string, { default?: unknown }>;
  const filled: Record<string, unknown> = { ...given };
  for (const [name, { default: value }] of Object.entries(properties))
    if (filled[name] === undefined && value !== undefined) filled[name] = value;
  return schema.read(filled);
}
