import { type Clock, type Log, messageOf, Scope } from '#base';
import { type Dependent, startOrder } from './order.ts';

export interface Part extends Dependent {
  /** Loads the part's module and starts it; everything it makes goes into the scope. */
  start(scope: Scope): Promise<void>;
}
/** What became of one part. A failed plugin is a value: the component runs on without it. */
export interface PartReport {
  readonly name: string;
  readonly requires: readonly string[];
  readonly state: 'active' | 'failed' | 'blocked';
  /** From the call of start() to its end. */
  readonly durationMs: number;
  /** When it began, counted from the start of all parts. */
  readonly beganMs: number;
  readonly error?: string;
}
export interface RunningParts extends AsyncDisposable {
  readonly reports: readonly PartReport[];
}
export interface PartsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly startMsMax?: number;
}
const startMsMax = 10_000;

/**
 * Starts parts in the order of their requirements, independent ones at the same time. A part that fails is undone, and
 * what requires it is not started. Disposal stops all in reverse order of their starts. Throws PLUGIN_CYCLE only.
 */
export async function startParts(parts: readonly Part[], options: PartsOptions): Promise<RunningParts> {
  const ordered = startOrder(parts);
  const scope = new Scope();
  const origin = options.clock.monotonicMs();
  const reports = new Map<string, Promise<PartReport>>();
  for (const part of ordered) reports.set(part.name, startOne(part, reports, scope, origin, options));
  return {
    reports: await Promise.all(reports.values()),
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
}

async function startOne(
  part: Part,
  reports: ReadonlyMap<string, Promise<PartReport>>,
  all: Scope,
  origin: number,
  { clock, log, ...limits }: PartsOptions,
): Promise<PartReport> {
  const { name, requires = [] } = part;
  const needed = await Promise.all(requires.map(async (one) => [one, await reports.get(one)] as const));
  const beganMs = clock.monotonicMs() - origin;
  const absent = needed.find(([, report]) => report?.state !== 'active');
  if (absent) {
    const error = absent[1]
      ? `it requires ${absent[0]}, which did not start`
      : `it requires ${absent[0]}, which is not enabled`;
    log.error('plugin not started', { plugin: name, error });
    return { name, requires, state: 'blocked', beganMs, durationMs: 0, error };
  }
  const scope = new Scope();
  const report = (state: PartReport['state'], error?: string): PartReport => ({
    name,
    requires,
    state,
    beganMs,
    durationMs: clock.monotonicMs() - origin - beganMs,
    ...(error === undefined ? {} : { error }),
  });
  try {
    await within(part.start(scope), limits.startMsMax ?? startMsMax, clock, name);
  } catch (error) {
    log.error('plugin failed to start; it is left out', { plugin: name, error: messageOf(error) });
    await scope[Symbol.asyncDispose]().catch((failure: unknown) =>
      log.error('plugin did not clean up', { plugin: name, error: messageOf(failure) }),
    );
    return report('failed', messageOf(error));
  }
  all.use(scope);
  return report('active');
}

/** The part's own promise may go on after the limit: what it defers then throws, because its scope is closed. */
async function within(work: Promise<void>, limitMs: number, clock: Clock, name: string): Promise<void> {
  const limit = new AbortController();
  const late = clock.sleep(limitMs, limit.signal).then(() => {
    if (!limit.signal.aborted) throw new Error(`plugin ${name} took more than ${limitMs} ms to start`);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    limit.abort();
  }
}
