import { readFileSync } from 'node:fs';
import { MetricsPage, systemClock, systemRandom } from '#base';
import { createInformers } from '../../client/cache-informer.ts';
import { coreControllers } from '../../controllers/index.ts';
import { advisersOf } from '../../host/hooks/advisers.ts';
import { PluginMetrics } from '../../host/plugin-metrics.ts';
import { startScheduler } from '../../scheduler/scheduler.ts';
import { startControllers } from '../../sdk/controller.ts';
import { createEventRecorder } from '../../sdk/recorder.ts';
import { apiListens, connect } from '../connect.ts';
import { nodeGraceSecondsOf } from '../home.ts';
import type { RoleContext } from '../internal.ts';
import { openTracing } from '../tracing/tracing.ts';
import { openHooks, startControllersParts, startPluginHost } from './plugins.ts';

/** Scheduler and core controllers, each with its own identity and one set of informers for all. */
export async function startControllersRole(context: RoleContext): Promise<void> {
  const { home, config, log, scope } = context;
  const seams = { clock: systemClock, random: systemRandom, log };
  const client = connect(home, config, 'controllers');
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  const schedulerClient = connect(home, config, 'scheduler');
  const schedulerEvents = scope.use(
    createEventRecorder({ client: schedulerClient, ...seams, component: 'default-scheduler' }),
  );
  const schedulerInformers = createInformers({ client: schedulerClient, ...seams, signal: scope.signal });
  const page = new MetricsPage(systemClock.now());
  const tracing = await openTracing(context, 'controllers');
  await apiListens(config, scope.signal);
  const core = coreControllers({
    rootCa: readFileSync(home.path('pki', 'ca.crt'), 'utf8'),
    nodeGraceMs: nodeGraceSecondsOf(config) * 1000,
  });
  const hooks = await openHooks(context, page);
  const starting = [
    startScheduler({
      client: schedulerClient,
      informers: schedulerInformers,
      events: schedulerEvents,
      ...seams,
      advisers: () => advisersOf(hooks.board),
      page,
      tracer: tracing?.('scheduler'),
    }),
    startControllers(core, { client, informers, page, ...seams, tracer: tracing?.('controllers') }),
  ];
  for (const started of await Promise.all(starting)) scope.use(started);
  await startControllersParts(context, client, informers, new PluginMetrics());
  await startPluginHost(context, hooks);
  log.info('scheduler and controllers run');
}
