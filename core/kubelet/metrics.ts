import { type Clock, type MetricsPage, stepSeconds } from '#base';
import type { ContainerRuntime } from '#sdk';
import type { KubeletAccess } from './server/access.ts';

/** Verbs of the seam, as upstream's kubelet names them. */
const operations: Readonly<Record<string, string>> = {
  ensureImage: 'pull_image',
  ensureSandbox: 'run_podsandbox',
  removeSandbox: 'remove_podsandbox',
  create: 'create_container',
  start: 'start_container',
  stop: 'stop_container',
  remove: 'remove_container',
  observe: 'podsandbox_status',
  exec: 'exec',
  attach: 'attach',
  stats: 'container_stats',
};

/** A runtime whose verbs are counted and timed, under upstream's names. */
export function measuredRuntime(runtime: ContainerRuntime, page: MetricsPage, clock: Clock): ContainerRuntime {
  const labels = ['operation_type'];
  const count = page.counter('kubelet_runtime_operations_total', 'What was asked of the container engine.', labels);
  const errors = page.counter('kubelet_runtime_operations_errors_total', 'What the container engine refused.', labels);
  const times = page.histogram(
    'kubelet_runtime_operations_duration_seconds',
    'How long the container engine took.',
    labels,
    stepSeconds,
  );
  const measured = (name: string, work: (...given: unknown[]) => Promise<unknown>) => {
    const own = [name];
    return async (...given: unknown[]) => {
      const beganMs = clock.monotonicMs();
      count.add(own);
      try {
        return await work.apply(runtime, given);
      } catch (error) {
        errors.add(own);
        throw error;
      } finally {
        times.observe(own, (clock.monotonicMs() - beganMs) / 1000);
      }
    };
  };
  const verbs = new Map(
    Object.entries(operations).map(([verb, name]) => {
      const work = runtime[verb as keyof ContainerRuntime] as (...given: unknown[]) => Promise<unknown>;
      return [verb, measured(name, work)];
    }),
  );
  return new Proxy(runtime, {
    get(target, key) {
      const verb = verbs.get(key as string);
      if (verb) return verb;
      const value = Reflect.get(target, key, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** What runs here, read when somebody looks. */
export function podMetrics(page: MetricsPage, access: KubeletAccess): void {
  const name = page.gauge('kubelet_node_name', 'The name of the node; always 1.', ['node']);
  const pods = page.gauge('kubelet_running_pods', 'Pods whose sandbox is up.');
  name.set([access.nodeName], 1);
  page.beforePrint(() => pods.set([], access.pods().filter(({ running }) => running).length));
}
