import type { Clock, Files } from '#base';
import type { ContainerStats } from '#sdk';

/** What was used at one moment, and how fast since the look before it. */
export interface Used {
  readonly timeMs: number;
  readonly cpuUsageNs: number;
  /** Thousand-millionths of a core, over the time between two looks. Absent: seen once only. */
  readonly nanoCores?: number;
  /** The time between those looks. There with nanoCores. */
  readonly windowMs?: number;
  readonly memoryWorkingSetBytes: number;
}
export interface ContainerUsed extends Used {
  readonly podUid: string;
  readonly container: string;
}
export interface NodeUsed extends Used {
  readonly bootMs: number;
  readonly memoryAvailableBytes: number;
  readonly memoryRssBytes: number;
}
export interface Usage {
  readonly node?: NodeUsed;
  readonly containers: readonly ContainerUsed[];
}
/** A look: counters as they stand. */
export interface Look {
  readonly node?: Omit<NodeUsed, 'nanoCores' | 'windowMs'>;
  readonly containers: readonly ContainerStats[];
}

const freshMs = 1_000; // who asks more often gets the former answer
const staleMs = 60_000; // a rate over more than this says nothing about now

/** Looks when somebody asks, and never by itself: a node that nobody watches does no work for it. */
export class UsageSampler {
  #former: Look | undefined;
  #latest: { usage: Usage; look: Look; atMs: number } | undefined;
  #running: Promise<Usage> | undefined;
  constructor(
    private readonly look: () => Promise<Look>,
    private readonly clock: Clock,
  ) {}

  /** Takes a second longer when there is no look to compare with, or none of some container. */
  read(): Promise<Usage> {
    this.#running ??= this.#read().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #read(): Promise<Usage> {
    const { clock } = this;
    const sinceMs = clock.monotonicMs() - (this.#latest?.atMs ?? Number.NEGATIVE_INFINITY);
    if (this.#latest && sinceMs < freshMs) return this.#latest.usage;
    if (this.#latest && sinceMs < staleMs) this.#former = this.#latest.look;
    else {
      this.#former = await this.look();
      await clock.sleep(freshMs);
    }
    let look = await this.look();
    if (look.containers.some((one) => !this.#hasSeen(one))) {
      this.#former = look; // containers that came since: they are to have a rate as well
      await clock.sleep(freshMs);
      look = await this.look();
    }
    const usage = usageBetween(this.#former, look);
    this.#latest = { usage, look, atMs: clock.monotonicMs() };
    return usage;
  }
  #hasSeen(one: ContainerStats): boolean {
    return this.#former?.containers.some((each) => keyOf(each) === keyOf(one)) ?? false;
  }
}

/** Counters that went back (a container that was restarted) give no rate. Pure. */
export function usageBetween(former: Look, latest: Look): Usage {
  const before = new Map(former.containers.map((one) => [keyOf(one), one]));
  return {
    node: latest.node && { ...latest.node, ...rate(former.node, latest.node) },
    containers: latest.containers.map((one) => ({ ...one, ...rate(before.get(keyOf(one)), one) })),
  };
}
type Counted = Pick<Used, 'timeMs' | 'cpuUsageNs'>;
const keyOf = ({ podUid, container }: ContainerStats): string => `${podUid}/${container}`;
function rate(former: Counted | undefined, { timeMs, cpuUsageNs }: Counted): Pick<Used, 'nanoCores' | 'windowMs'> {
  if (!former || timeMs <= former.timeMs || cpuUsageNs < former.cpuUsageNs) return {};
  const windowMs = timeMs - former.timeMs;
  return { nanoCores: Math.round(((cpuUsageNs - former.cpuUsageNs) * 1000) / windowMs), windowMs };
}

/** The whole machine, from the texts of /proc/stat and /proc/meminfo. Undefined: they do not say. Pure. */
export function nodeUsed(stat: string, meminfo: string, nowMs: number): NodeUsed | undefined {
  const cpu = /^cpu +([\d ]+)$/m.exec(stat)?.[1]?.split(' ').map(Number);
  const boot = Number(/^btime (\d+)$/m.exec(stat)?.[1]);
  const bytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(meminfo)?.[1]) * 1024;
  if (!cpu || !Number.isFinite(boot) || !Number.isFinite(bytes('MemTotal'))) return undefined;
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = cpu;
  const memoryAvailableBytes = bytes('MemAvailable');
  return {
    timeMs: nowMs,
    bootMs: boot * 1000,
    cpuUsageNs: (user + nice + system + irq + softirq + steal) * tickNs,
    memoryAvailableBytes,
    memoryWorkingSetBytes: bytes('MemTotal') - memoryAvailableBytes,
    memoryRssBytes: bytes('AnonPages'),
  };
}
const tickNs = 10_000_000; // USER_HZ is 100 on every Linux that we run on

export const lookAround =
  (stats: () => Promise<ContainerStats[]>, files: Pick<Files, 'readFile'>, clock: Clock) => async (): Promise<Look> => {
    const read = (path: string) => files.readFile(path, 'utf8').catch(() => '');
    const [containers, stat, meminfo] = await Promise.all([stats(), read('/proc/stat'), read('/proc/meminfo')]);
    return { containers, node: nodeUsed(stat, meminfo, clock.now()) };
  };
