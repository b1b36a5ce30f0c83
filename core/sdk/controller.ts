import { type Kind, type KubeObject, keyOf, keyText, type ObjectKey } from '#api';
import { type Clock, type Log, type MetricsPage, messageOf, type Random, Scope, type Tracer } from '#base';
import type { Change, Client, InformerFactory } from '#client';
import type { EventRecorder } from './events.ts';
import { ownWritesClient } from './own-writes.ts';
import { type ControllerSpec, type ReconcileContext, TerminalError } from './reconciler.ts';
import { createEventRecorder } from './recorder.ts';
import { WorkMetrics } from './work-metrics.ts';
import { WorkQueue } from './workqueue.ts';

export interface ControllersOptions {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** source.component of events where a spec's own name is not to be it; each spec records under its name otherwise. */
  readonly component?: string;
  /** For specs that do not say; default 5. */
  readonly workers?: number;
  /** Default: a recorder for each spec. */
  readonly events?: EventRecorder;
  /** Of the process; absent: nothing is counted. */
  readonly page?: MetricsPage;
  /** Absent: nobody asked for traces. */
  readonly tracer?: Tracer;
}

/** Wires every spec and returns; workers begin once all caches of their spec are filled. Disposal waits for work in hand. */
export async function startControllers(
  specs: readonly ControllerSpec<never>[],
  options: ControllersOptions,
): Promise<AsyncDisposable> {
  const scope = new Scope();
  const client = ownWritesClient(options.client, options.informers);
  for (const spec of specs) {
    const log = options.log.with({ controller: spec.name });
    const events =
      options.events ?? scope.use(createEventRecorder({ ...options, log, component: options.component ?? spec.name }));
    const context: ReconcileContext = { ...options, client, events, log, signal: scope.signal };
    startController(spec as unknown as ControllerSpec<KubeObject>, context, options, scope);
  }
  return scope;
}

function startController(
  spec: ControllerSpec<KubeObject>,
  context: ReconcileContext,
  { workers = 5, page }: Pick<ControllersOptions, 'workers' | 'page'>,
  scope: Scope,
) {
  const { informers, clock } = context;
  const metrics = page && new WorkMetrics(page, spec.name, clock, () => queue.length);
  const queue: WorkQueue = new WorkQueue(clock, scope.signal, spec.retryMsMax, (key) => metrics?.added(key));
  const own = informers.informer(spec.watches);
  const synced: Promise<void>[] = [own.synced];
  const follow = <T>(kind: Kind<T>, handler: (change: Change<T>) => void) => {
    const informer = informers.informer(kind);
    scope.use(informer.onChange(handler));
    synced.push(informer.synced);
  };
  scope.use(own.onChange((change) => queue.add(keyText(keyOf(change.object)))));
  for (const kind of spec.owns ?? [])
    follow(kind as Kind<KubeObject>, (change) => {
      // Both: a child that was given away concerns the one before as well.
      for (const child of bothOf(change)) {
        const owner = ownerKey(child, spec.watches);
        if (owner) queue.add(keyText(owner));
      }
    });
  for (const also of spec.alsoOn ?? [])
    follow(also.kind as Kind<KubeObject>, (change) => {
      for (const object of bothOf(change))
        for (const key of also.keys(object as never, informers)) queue.add(keyText(key));
    });
  const running = Promise.all(synced).then(async () => {
    const lanes = Array.from({ length: spec.workersMax ?? workers }, () =>
      work(spec, queue, own.cache.get.bind(own.cache), context, metrics),
    );
    if (spec.run) lanes.push(spec.run(context));
    await Promise.all(lanes);
  });
  // Before the first sync there is nothing to wait for: the informers may never come up.
  let isSynced = false;
  void Promise.all(synced).then(() => (isSynced = true));
  scope.defer(() => (isSynced ? running : undefined));
}

async function work(
  spec: ControllerSpec<KubeObject>,
  queue: WorkQueue,
  get: (key: ObjectKey) => Readonly<KubeObject> | undefined,
  context: ReconcileContext,
  metrics: WorkMetrics | undefined,
): Promise<void> {
  for (let text = await queue.next(); text !== undefined; text = await queue.next()) {
    const key = keyFrom(text);
    const ended = metrics?.begun(text);
    try {
      const outcome = await spec.reconciler.reconcile(key, get(key), context);
      ended?.(outcome?.requeueAfterMs === undefined ? 'success' : 'requeue_after');
      queue.forget(text);
      if (outcome?.requeueAfterMs !== undefined) queue.addAfter(text, outcome.requeueAfterMs);
    } catch (error) {
      if (context.signal.aborted) return;
      ended?.('error');
      if (error instanceof TerminalError) {
        queue.forget(text);
        context.log.error('gave up', { key: text, error: messageOf(error) });
      } else {
        metrics?.retried();
        const retryInMs = queue.addRateLimited(text);
        context.log.debug('will retry', { key: text, error: messageOf(error), retryInMs });
      }
    } finally {
      queue.done(text);
    }
  }
}

const bothOf = <T>(change: Change<T>): Readonly<T>[] =>
  change.type === 'updated' ? [change.object, change.previous] : [change.object];

/** The key of the controller owner when it is of that kind. */
export function ownerKey(
  child: Readonly<KubeObject>,
  kind: Pick<Kind, 'group' | 'kind' | 'namespaced'>,
): ObjectKey | undefined {
  const owner = child.metadata.ownerReferences?.find((reference) => reference.controller);
  if (!owner || owner.kind !== kind.kind || groupOf(owner.apiVersion) !== kind.group) return undefined;
  return { namespace: kind.namespaced ? child.metadata.namespace : undefined, name: owner.name };
}
const groupOf = (apiVersion: string): string => (apiVersion.includes('/') ? apiVersion.split('/')[0]! : '');

export function keyFrom(text: string): ObjectKey {
  const slash = text.indexOf('/');
  return slash < 0 ? { name: text } : { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}

/** For lists of specs of different kinds. */
export const specOf = <T>(spec: ControllerSpec<T>): ControllerSpec<never> => spec as unknown as ControllerSpec<never>;
