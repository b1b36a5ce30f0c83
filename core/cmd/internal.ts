import { createLog, type Log, PintleError, Scope } from '#base';
import type { BuiltinPlugin } from '../host/parts.ts';
import { type Catalog, enabledIn } from './catalog.ts';
import { forgetFailure, noteFailure } from './failure.ts';
import type { Config, Home } from './home.ts';
import { openHome } from './home.ts';

export interface RoleContext {
  readonly home: Home;
  readonly config: Config;
  readonly catalog: readonly BuiltinPlugin[];
  readonly log: Log;
  readonly scope: Scope;
}

const homeLookMs = 10_000; // somebody removed the folder by hand: nothing could ever find this process again

/** The processes that the supervisor starts: `supervise --home H`, `component NAME --home H`. Not for people. */
export async function runInternal(argv: readonly string[], catalog: Catalog): Promise<void> {
  const homeFolder = argv[argv.indexOf('--home') + 1];
  if (!argv.includes('--home') || !homeFolder)
    throw new PintleError('BAD_ARGUMENTS', `${argv[0]} needs --home`, 'use ./pintle up');
  const home = openHome(homeFolder);
  const name = argv[0] === 'component' ? (argv[1] ?? '') : 'supervisor';
  const log = createLog((line) => process.stderr.write(`${line}\n`), {
    now: Date.now,
    fields: { component: name },
    level: process.env['PINTLE_LOG'] === 'debug' ? 'debug' : 'info',
  });
  const scope = new Scope();
  const stop = Promise.withResolvers<void>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.resolve());
  const watch = setInterval(() => {
    if (home.exists()) return;
    log.error('the home folder is gone; ending', { home: home.folder });
    stop.resolve();
  }, homeLookMs);
  scope.defer(() => clearInterval(watch));
  process.on('unhandledRejection', (error) => {
    log.error('unhandled rejection; ending so that the supervisor starts this component afresh', {
      error: error instanceof Error ? error.stack : String(error),
    });
    process.exit(70);
  });
  const config = home.read();
  const context = { home, config, catalog: enabledIn(catalog, config), log, scope };
  if (argv[0] === 'supervise') {
    const { Supervisor } = await import('./supervisor.ts');
    void stop.promise.then(() => scope[Symbol.asyncDispose]());
    await new Supervisor(home, context.config, log).run(scope.signal);
  } else {
    await Promise.race([start(name, context), stop.promise]);
    await stop.promise;
    await Promise.race([scope[Symbol.asyncDispose](), Bun.sleep(8_000)]);
  }
  process.exit(0); // libraries keep the loop alive
}

/** Leaves the reason of a failed start where `up` and `status` find it. */
async function start(name: string, context: RoleContext): Promise<void> {
  try {
    await startRole(name, context);
    forgetFailure(context.home, name);
  } catch (error) {
    // Stopped in the middle of its start, it did not fail: the next one's start must not find it said.
    if (!context.scope.signal.aborted) noteFailure(context.home, name, error);
    throw error;
  }
}

async function startRole(name: string, context: RoleContext): Promise<void> {
  switch (name) {
    case 'apiserver':
      return (await import('./roles/apiserver.ts')).startApiserverRole(context);
    case 'controllers':
      return (await import('./roles/controllers.ts')).startControllersRole(context);
    case 'node':
      return (await import('./roles/node.ts')).startNodeRole(context);
    default:
      throw new PintleError('BAD_ARGUMENTS', `there is no component ${name}`, 'use ./pintle up');
  }
}
