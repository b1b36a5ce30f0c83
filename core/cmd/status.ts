import type { Node } from '#api';
import { nodeState } from './agent.ts';
import { type ComponentName, componentsOf, readRunState } from './components.ts';
import { askEngine, type EngineFound } from './engine.ts';
import { failureOf } from './failure.ts';
import { type Config, commandOf, type Home, openHome, podRangesOf } from './home.ts';
import { isAlive } from './processes.ts';
import { ask } from './ready.ts';
import { removedWhy } from './removed.ts';
import { kubeletWayAnnotation } from './roles/enrollment.ts';

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

/** `status`: exit code 1 unless everything runs and the API answers; on a host that joined, unless its node is Ready. */
export async function status(options: { home?: string; json?: boolean }): Promise<void> {
  const home = openHome(options.home);
  const config = home.read();
  const components = linesOf(home, config);
  const [reach, engine] = await Promise.all([
    config.role === 'agent' ? reachOfAgent(home, config) : reachOfServer(home, config),
    config.engine && askEngine(config.engine.socket, engineLimitMs),
  ]);
  const healthy = reach.ready && components.every((line) => line.running);
  if (options.json) {
    const { ready, hosts } = reach;
    const all = { home: home.folder, config, components, engine, apiReady: ready, hosts, healthy };
    process.stdout.write(`${JSON.stringify(all)}\n`);
  } else process.stdout.write(statusText(home.folder, config, components, reach, Date.now(), engine));
  if (!healthy) process.exitCode = 1;
}

/** What the API says, in words; of several hosts also which there are. */
export interface Reach {
  readonly ready: boolean;
  readonly text: string;
  /** This host was taken out of its cluster. */
  readonly removed?: string;
  readonly hosts?: readonly { readonly name: string; readonly ready: string; readonly way: string }[];
}

async function reachOfServer(home: Home, config: Config): Promise<Reach> {
  const [answer, nodes] = await Promise.all([
    ask(home, config, '/readyz'),
    config.role === 'server' ? ask(home, config, '/api/v1/nodes') : undefined,
  ]);
  const ready = answer?.ok === true;
  const text = answer ? (ready ? 'ready' : `not ready (HTTP ${answer.status})`) : 'does not answer';
  if (!nodes?.ok) return { ready, text };
  const { items } = (await nodes.json()) as { items: Node[] };
  const hosts = items.map(({ metadata, status }) => ({
    name: metadata.name ?? '',
    ready: status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True' ? 'Ready' : 'NotReady',
    way: metadata.name === config.nodeName ? 'this host' : (metadata.annotations?.[kubeletWayAnnotation] ?? 'unknown'),
  }));
  return { ready, text, hosts };
}

async function reachOfAgent(home: Home, config: Config): Promise<Reach> {
  const removed = removedWhy(home);
  return removed ? { ready: false, text: 'removed', removed } : nodeState(home, config);
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
  reach: Reach,
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
  return [
    `home      ${folder}`,
    ...(config.role === 'agent'
      ? [`server    ${config.servers?.join(', ')}`, `node      ${config.nodeName} ${reach.text}`]
      : [`api       https://127.0.0.1:${config.port} ${reach.text}`]),
    `runtime   ${config.runtime}${engine}, proxy ${config.proxy}`,
    ...(config.role === 'agent' ? [] : [`store     ${config.store}`]),
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
    ...hostLines(reach),
    ...(failed?.failure
      ? ['', `the ${failed.name} does not start: ${failed.failure.message} [${failed.failure.code}]`]
      : []),
    ...nextLines(folder, config, components, reach),
    '',
  ].join('\n');
}

function hostLines({ hosts }: Reach): string[] {
  if (!hosts) return [];
  const line = (name: string, state: string, way: string): string => `${name.padEnd(24)}${state.padEnd(10)}${way}`;
  return ['', line('HOST', 'STATE', 'KUBELET REACHED'), ...hosts.map(({ name, ready, way }) => line(name, ready, way))];
}

/** What to do when not all is well. */
function nextLines(
  folder: string,
  config: Config,
  components: readonly ComponentLine[],
  { ready, removed }: Reach,
): string[] {
  if (removed) return ['', removed, `next: ./pintle down --purge --home ${folder}`];
  const failure = components.find((line) => line.failure)?.failure;
  if (failure) return [`next: ${failure.next}`];
  if (components.every((line) => !line.running))
    return ['', `next: ./pintle ${commandOf(config)} --detach --home ${folder}`];
  return components.some((line) => !line.running) || !ready ? ['', `next: ./pintle logs --home ${folder}`] : [];
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
