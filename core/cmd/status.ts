import { type ComponentName, componentsOf, readRunState } from './components.ts';
import { askEngine, type EngineFound } from './engine.ts';
import { failureOf } from './failure.ts';
import { type Config, type Home, openHome, podRangesOf } from './home.ts';
import { isAlive } from './processes.ts';
import { ask } from './ready.ts';

interface ComponentLine {
  readonly name: ComponentName | 'supervisor';
  readonly running: boolean;
  readonly pid?: number;
  readonly restarts: number;
  readonly since?: string;
  readonly lastExit?: string;
  /** Why it does not start. */
  readonly failure?: { readonly code: string; readonly message: string; readonly next: string };
}

const engineLimitMs = 5_000;

/** `status`: exit code 1 unless everything runs and the API answers. */
export async function status(options: { home?: string; json?: boolean }): Promise<void> {
  const home = openHome(options.home);
  const config = home.read();
  const components = linesOf(home, config);
  const [answer, engine] = await Promise.all([
    ask(home, config, '/readyz'),
    config.engine && askEngine(config.engine.socket, engineLimitMs),
  ]);
  const healthy = answer?.ok === true && components.every((line) => line.running);
  const api = answer ? (answer.ok ? 'ready' : `not ready (HTTP ${answer.status})`) : 'does not answer';
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ home: home.folder, config, components, engine, apiReady: answer?.ok === true, healthy })}\n`,
    );
  else process.stdout.write(statusText(home.folder, config, components, api, Date.now(), engine));
  if (!healthy) process.exitCode = 1;
}

function linesOf(home: Home, config: Config): ComponentLine[] {
  const state = readRunState(home);
  const supervisorRuns = isAlive(state?.supervisor);
  return [
    {
      name: 'supervisor',
      running: supervisorRuns,
      pid: supervisorRuns ? state?.supervisor.pid : undefined,
      restarts: 0,
    },
    ...componentsOf(config).map((name): ComponentLine => {
      const one = state?.components.find((component) => component.name === name);
      const running = isAlive(one?.process);
      return {
        name,
        running,
        pid: running ? one?.process?.pid : undefined,
        restarts: one?.restarts ?? 0,
        since: one?.since,
        lastExit: one?.lastExit,
        failure: failureOf(home, name),
      };
    }),
  ];
}

/** What a person reads. Pure. */
export function statusText(
  folder: string,
  config: Config,
  components: readonly ComponentLine[],
  api: string,
  nowMs: number,
  /** Undefined: it does not answer, or there is none. */
  found?: EngineFound,
): string {
  const product = found ? `, ${found.product} ${found.version}` : ', which does not answer,';
  const engine = config.engine
    ? `${product} at ${config.engine.socket}${config.engine.private ? ' (private)' : ''}`
    : '';
  const columns = (name: string, state: string, pid: string, restarts: string, rest: string): string =>
    `${name.padEnd(14)}${state.padEnd(10)}${pid.padEnd(9)}${restarts.padEnd(10)}${rest}`.trimEnd();
  const failed = components.find((line) => line.failure);
  const stopped = components.every((line) => !line.running);
  return [
    `home      ${folder}`,
    `api       https://127.0.0.1:${config.port} ${api}`,
    `runtime   ${config.runtime}${engine}, proxy ${config.proxy}`,
    `store     ${config.store}`,
    `ranges    pods ${podRangesOf(config).join(', ')}, services ${config.serviceCidr}, node ports ${config.nodePorts}`,
    '',
    columns('COMPONENT', 'STATE', 'PID', 'RESTARTS', 'SINCE'),
    ...components.map((line) => {
      const since = line.since ? `${age(nowMs - Date.parse(line.since))} ago` : '';
      const last = line.lastExit ? ` (it ended before: ${line.lastExit})` : '';
      return columns(
        line.name,
        line.running ? 'running' : 'stopped',
        String(line.pid ?? '-'),
        String(line.restarts),
        `${since}${last}`,
      );
    }),
    ...(failed?.failure
      ? ['', `the ${failed.name} does not start: ${failed.failure.message} [${failed.failure.code}]`]
      : []),
    ...(failed?.failure
      ? [`next: ${failed.failure.next}`]
      : stopped
        ? ['', `next: ./pintle up --detach --home ${folder}`]
        : components.some((line) => !line.running) || api !== 'ready'
          ? ['', `next: ./pintle logs --home ${folder}`]
          : []),
    '',
  ].join('\n');
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
