import { builtinKinds, ipAddressKind, type Kind, secretKind, serviceCidrKind, serviceKind } from '#api';
import { Scope } from '#base';
import { Aggregator } from './aggregation/aggregator.ts';
import { ServiceAddresses } from './allocate/addresses.ts';
import { rangesOf } from './allocate/range.ts';
import { keepRepaired, repairAddresses } from './allocate/repair.ts';
import { createServiceAllocator } from './allocate/services.ts';
import { bootstrap } from './bootstrap.ts';
import { type CachedObject, prefixOf } from './cached-object.ts';
import { compactHistory } from './compaction.ts';
import type { AnyKind, AnyObject, ApiServer, ApiServerOptions, Reader, ServedKind } from './contract.ts';
import type { Core } from './core.ts';
import { defaultStrategy } from './default-strategy.ts';
import { sweepEvents } from './event-sweep.ts';
import { createHandler } from './handle.ts';
import { builtinAdmission } from './hooks/index.ts';
import { Kinds } from './kinds.ts';
import { ListBodies } from './list-bodies.ts';
import { listen } from './listener.ts';
import { ApiMetrics } from './metrics.ts';
import { Documents } from './openapi/documents.ts';
import { openApi } from './openapi/openapi.ts';
import { patches } from './patch/patches.ts';
import { keepEndpoints, leave } from './peers.ts';
import { Encodings } from './protobuf/encodings.ts';
import type { ResourceCache } from './resource-cache.ts';
import { createSchemaEngine } from './schema/schema.ts';
import { keepSealed } from './sealing/resealing.ts';
import { SealedStore } from './sealing/sealed-store.ts';
import { strategies as builtinStrategies } from './strategies/index.ts';
import { WatchCache } from './watch-cache.ts';
import { WatchTimes } from './watch-times.ts';
import { createWebhookCaller } from './webhooks.ts';

export type { ApiServer, ApiServerOptions } from './contract.ts';

const secretsPrefix = prefixOf(secretKind as AnyKind);
const defaultNodePorts = [30_000, 32_767] as const;

/** Loads the watch caches, makes what every cluster has, and serves. Disposal ends every watch and frees the port. */
export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const scope = new Scope();
  const { clock, random, log, secretKeys, nodePorts = defaultNodePorts } = options;
  const store = secretKeys ? new SealedStore(options.store, secretsPrefix, secretKeys) : options.store;
  const cache = scope.use(new WatchCache(store, clock, log));
  const builtin = servedBuiltins(options);
  const kinds = new Kinds(cache, builtin);
  await cache.start(builtin);
  const reader = readerOf(cache);
  const holder: { core?: Core } = {};
  const addresses = addressesOf(cache, options);
  const callWebhook = callerOf(options, reader);
  const admission = builtinAdmission(reader, random, options.authorizer, () => holder.core!, callWebhook, [
    createServiceAllocator({ core: () => holder.core!, addresses, random, nodePorts }),
    ...(options.admission ?? []),
  ]);
  const core: Core = {
    options,
    store,
    cache,
    kinds,
    reader,
    schema: options.schema ?? createSchemaEngine(),
    patches: options.patches ?? patches,
    encodings: new Encodings(),
    listBodies: new ListBodies(),
    metrics: new ApiMetrics(cache, clock),
    documents: new Documents(options.openApi ?? openApi, clock),
    watchTimes: new WatchTimes(clock, scope.signal),
    admission,
    clock,
    random,
    log,
    signal: scope.signal,
  };
  holder.core = core;
  options.authorizer.bind?.(reader);
  await bootstrap(core);
  await repairAddresses(core, addresses);
  core.aggregator = new Aggregator(core, options.frontProxy, options.webhookRanges ?? []);
  void keepRepaired(core, addresses);
  void sweepEvents(core);
  void keepEndpoints(core);
  scope.defer(() => leave(core));
  void compactHistory(core, options.compactionIntervalMs);
  if (secretKeys) {
    const work = { store: options.store, prefix: secretsPrefix, keys: secretKeys, clock, log, signal: scope.signal };
    void keepSealed({ ...work, report: options.onSealing });
  }
  const handle = createHandler(core);
  return {
    kinds,
    reader,
    callWebhook,
    async fetch(request) {
      const answer = await handle(request, () => false);
      return answer ?? new Response(null, { status: 500 });
    },
    async listen(where) {
      const server = listen(where, handle);
      scope.defer(() => server.stop());
      return { port: server.port };
    },
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
}

const callerOf = ({ random, clock, webhookRanges = [] }: ApiServerOptions, reader: Reader) =>
  createWebhookCaller({ reader, random, clock, allowedRanges: webhookRanges });

const addressesOf = (cache: WatchCache, { random, serviceRange }: ApiServerOptions): ServiceAddresses =>
  new ServiceAddresses({
    services: cache.cacheOf(serviceKind as AnyKind)!,
    ipAddresses: cache.cacheOf(ipAddressKind as AnyKind)!,
    serviceCidrs: cache.cacheOf(serviceCidrKind as AnyKind)!,
    random,
    families: rangesOf(serviceRange).map(({ family }) => family),
  });

function servedBuiltins(options: ApiServerOptions): ServedKind[] {
  const strategies = new Map(
    (options.strategies ?? builtinStrategies).map((strategy) => [strategy.kind.type, strategy]),
  );
  return builtinKinds.map((kind) => ({
    kind,
    strategy: strategies.get(kind.type) ?? defaultStrategy(kind, kind.virtual ? [] : ['status']),
    ...(kind.kind === 'ReplicationController' ? { scale: replicationControllerScale } : {}),
  }));
}

const replicationControllerScale = {
  specReplicas: 'spec.replicas',
  statusReplicas: 'status.replicas',
  selector: (object: Readonly<AnyObject>) =>
    Object.entries((object['spec'] as { selector?: Record<string, string> } | undefined)?.selector ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .sort()
      .join(','),
};

const readerOf = (cache: WatchCache): Reader => ({
  get: <T>(kind: Kind<T>, namespace: string, name: string) =>
    cache.cacheOf(kind as AnyKind)?.get(namespace, name)?.readable as Readonly<T> | undefined,
  list: <T>(kind: Kind<T>, namespace = '') =>
    (cache.cacheOf(kind as AnyKind)?.all(namespace) ?? []).map((entry) => entry.readable as unknown as Readonly<T>),
  onChange<T>(kind: Kind<T>, handler: (next: Readonly<T> | undefined, previous: Readonly<T> | undefined) => void) {
    const resources = cache.cacheOf(kind as AnyKind);
    if (resources) follow(resources, handler as Parameters<typeof follow>[1]);
  },
  indexed: <T>(kind: Kind<T>, value: string) =>
    (cache.cacheOf(kind as AnyKind)?.indexed(value) ?? []).map((entry) => entry.readable as unknown as Readonly<T>),
});

/** Keeps what it told, so that a history that was lost can be made up for. */
function follow(
  resources: ResourceCache,
  handler: (next: Readonly<AnyObject> | undefined, previous: Readonly<AnyObject> | undefined) => void,
): void {
  const told = new Map<string, CachedObject>();
  const tell = (key: string, next: CachedObject | undefined): void => {
    const previous = told.get(key);
    if (next) told.set(key, next);
    else told.delete(key);
    if (next || previous) handler(next?.object, previous?.object);
  };
  const tellAll = (): void => {
    const now = new Set(resources.all().map((object) => object.key));
    for (const key of [...told.keys()]) if (!now.has(key)) tell(key, undefined);
    for (const object of resources.all())
      if (told.get(object.key)?.version !== object.version) tell(object.key, object);
  };
  resources.sinks.add({
    onEvent: ({ type, object }) => tell(object.key, type === 'DELETED' ? undefined : object),
    onBookmark() {},
    onLost: tellAll,
  });
  tellAll();
}
