import type { Weather } from './network.ts';
import { fork } from './process.ts';
import type { ProcessName } from './world.ts';

/** Something a person does. Times are milliseconds after the cluster is up. */
export type Step = { readonly atMs: number /** Default `default`. */; readonly namespace?: string } & (
  | { readonly type: 'namespace'; readonly namespace: string }
  | { readonly type: 'deleteNamespace'; readonly namespace: string }
  | {
      readonly type: 'controller';
      readonly name: string;
      readonly replicas: number;
      readonly cpuMilli: number;
      /** Pods mount a service account token. */
      readonly withToken?: boolean;
    }
  | { readonly type: 'scale'; readonly name: string; readonly replicas: number }
  | {
      readonly type: 'deleteController';
      readonly name: string;
      readonly policy: 'Background' | 'Foreground' | 'Orphan';
    }
  | { readonly type: 'service'; readonly name: string }
  | { readonly type: 'deleteService'; readonly name: string }
  /** The pod at this place of the list, in order of names, whatever it is then. */
  | { readonly type: 'deletePod'; readonly pick: number; readonly graceSeconds?: number }
);
/** Something that goes wrong, and is well again after `forMs`. */
export type Fault = { readonly atMs: number } & (
  | { readonly type: 'crash'; readonly target: ProcessName; readonly forMs: number }
  | { readonly type: 'crashAfterWrites'; readonly target: ProcessName; readonly writes: number; readonly forMs: number }
  | { readonly type: 'cutOff'; readonly target: ProcessName; readonly forMs: number }
  | { readonly type: 'cutWatches'; readonly target: ProcessName | '*' }
  | { readonly type: 'weather'; readonly target: ProcessName; readonly forMs: number; readonly weather: Weather }
  | { readonly type: 'storeCut' }
  | { readonly type: 'compact'; readonly keepVersions: number }
  | { readonly type: 'stall'; readonly forMs: number }
  | { readonly type: 'clock'; readonly target: ProcessName; readonly byMs: number; readonly forMs: number }
  | { readonly type: 'containerExit'; readonly node: string; readonly pick: number; readonly code: number }
  | { readonly type: 'sandboxCrash'; readonly node: string; readonly pick: number }
  | { readonly type: 'engineAway'; readonly node: string; readonly forMs: number }
);
/** A run that can be repeated: plain data, kept as JSON when it has found a bug. */
export interface Scenario {
  readonly seed: number;
  readonly nodes: number;
  readonly events?: boolean;
  readonly steps: readonly Step[];
  readonly faults: readonly Fault[];
  /** What it found, when it was kept. */
  readonly note?: string;
}

type Chance = { int(from: number, to: number): number; pick<T>(all: readonly T[]): T; flip(chance: number): boolean };
function chanceOf(seed: number, name: string): Chance {
  const random = fork(seed, name);
  const int = (from: number, to: number) => from + Math.floor(random.next() * (to - from + 1));
  return { int, pick: (all) => all[int(0, all.length - 1)]!, flip: (chance) => random.next() < chance };
}
export interface GenerateOptions {
  /** Default 1; more makes longer and stormier runs. */
  readonly scale?: number;
}

/** Everything that will be done and go wrong, from a seed alone. */
export function generateScenario(seed: number, { scale = 1 }: GenerateOptions = {}): Scenario {
  const dice = chanceOf(seed, 'scenario');
  const nodes = dice.int(1, 2 + Math.floor(scale));
  const spanMs = 20_000 * scale;
  return {
    seed,
    nodes,
    events: dice.flip(0.2),
    steps: generateSteps(dice, spanMs, Math.ceil(5 * scale)),
    faults: Array.from({ length: dice.int(1, Math.ceil(5 * scale)) }, () => generateFault(dice, spanMs, nodes)).sort(
      byTime,
    ),
  };
}
const byTime = (left: { atMs: number }, right: { atMs: number }) => left.atMs - right.atMs;

function generateSteps(dice: Chance, spanMs: number, count: number): Step[] {
  const names = ['web', 'api'];
  const first = {
    atMs: 0,
    type: 'controller',
    name: 'web',
    replicas: dice.int(1, 4),
    cpuMilli: 300,
    withToken: dice.flip(0.2),
  } as const;
  const steps: Step[] = [first, ...(dice.flip(0.6) ? [{ atMs: 10, type: 'service', name: 'web' } as const] : [])];
  for (let index = 0; index < count; index++) {
    const atMs = dice.int(0, spanMs);
    const name = dice.pick(names);
    const type = dice.pick([
      'scale',
      'scale',
      'scale',
      'deletePod',
      'deletePod',
      'controller',
      'deleteController',
      'service',
      'deleteService',
    ] as const);
    if (type === 'scale') steps.push({ atMs, type, name, replicas: dice.int(0, 5) });
    else if (type === 'deletePod')
      steps.push({ atMs, type, pick: dice.int(0, 9), ...(dice.flip(0.3) && { graceSeconds: 0 }) });
    else if (type === 'controller')
      steps.push({ atMs, type, name, replicas: dice.int(1, 3), cpuMilli: dice.pick([100, 300]) });
    else if (type === 'deleteController')
      steps.push({
        atMs,
        type,
        name,
        policy: dice.pick(['Background', 'Background', 'Foreground', 'Orphan'] as const),
      });
    else steps.push({ atMs, type, name });
  }
  if (dice.flip(0.2)) {
    const namespace = 'shop';
    const beginMs = dice.int(0, spanMs / 2);
    const controller = {
      type: 'controller',
      name: 'web',
      replicas: dice.int(1, 2),
      cpuMilli: 100,
      withToken: dice.flip(0.5),
    } as const;
    steps.push(
      { atMs: beginMs, type: 'namespace', namespace },
      { atMs: beginMs + dice.int(0, 200), namespace, ...controller },
      { atMs: beginMs + dice.int(0, 300), type: 'service', name: 'web', namespace },
      { atMs: beginMs + dice.int(300, spanMs / 2), type: 'deleteNamespace', namespace },
    );
    if (dice.flip(0.3)) steps.push({ atMs: spanMs, type: 'namespace', namespace });
  }
  return steps.sort(byTime);
}

function generateFault(dice: Chance, spanMs: number, nodes: number): Fault {
  const atMs = dice.int(0, spanMs);
  const node = `node-${dice.int(1, nodes)}` as const;
  const target = dice.pick<ProcessName>(['apiserver', 'controllers', 'scheduler', node, node]);
  const client = target === 'apiserver' ? 'controllers' : target;
  const forMs = dice.flip(0.15) ? dice.int(10_000, 55_000) : dice.int(10, 6_000);
  const type = dice.pick([
    'crash',
    'crash',
    'crashAfterWrites',
    'crashAfterWrites',
    'crashAfterWrites',
    'cutOff',
    'cutWatches',
    'weather',
    'weather',
    'weather',
    'storeCut',
    'compact',
    'stall',
    'clock',
    'containerExit',
    'sandboxCrash',
    'engineAway',
  ] as const);
  switch (type) {
    case 'crash':
      return { atMs, type, target, forMs };
    case 'crashAfterWrites':
      return { atMs, type, target, writes: dice.int(1, 12), forMs: Math.min(forMs, 5_000) };
    case 'cutOff':
      return { atMs, type, target: client, forMs };
    case 'cutWatches':
      return { atMs, type, target: dice.flip(0.5) ? '*' : client };
    case 'weather':
      return { atMs, type, target: client, forMs: dice.int(1_000, 15_000), weather: generateWeather(dice) };
    case 'compact':
      return { atMs, type, keepVersions: dice.int(0, 30) };
    case 'stall':
      return { atMs, type, forMs: dice.int(100, 5_000) };
    case 'clock':
      return { atMs, type, target, byMs: dice.pick([-3_600_000, 3_600_000, -5_000, 5_000]), forMs };
    case 'containerExit':
      return { atMs, type, node, pick: dice.int(0, 5), code: dice.int(0, 2) };
    case 'sandboxCrash':
      return { atMs, type, node, pick: dice.int(0, 5) };
    case 'engineAway':
      return { atMs, type, node, forMs: dice.int(100, 10_000) };
    default:
      return { atMs, type };
  }
}
function generateWeather(dice: Chance): Weather {
  const storm = dice.pick([0.05, 0.2, 0.5]);
  const kinds = ['loseRequest', 'loseAnswer', 'refuse', 'slow', 'cutWatch'] as const;
  const chosen = kinds.filter(() => dice.flip(0.4));
  return {
    ...Object.fromEntries((chosen.length ? chosen : (['loseAnswer'] as const)).map((kind) => [kind, storm])),
    slowMs: dice.pick([50, 500, 3_000]),
  };
}
