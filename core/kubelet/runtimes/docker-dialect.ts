import { readFileSync } from 'node:fs';
import { type DockerEngine, type EngineError, type InspectedContainer, inspectContainer } from './docker-engine.ts';
import type { SandboxJoin } from './docker-specs.ts';

/** In what an engine that serves Docker's API differs from Docker. The rest of the runtime knows one engine. */
export interface Dialect {
  readonly product: 'Docker' | 'Podman';
  /** What makes the engine treat a body as Docker would. `join`: of a container, the sandbox that it is to join. */
  adapt<B extends EngineBody>(engine: DockerEngine, body: B, join?: SandboxJoin): Promise<B>;
  /** The refusal of what is so already: stopping what does not run, removing what is being removed. */
  isImproperState(error: unknown): boolean;
  /**
   * A sandbox that containers have joined cannot be removed before them, ended or not. It is stopped and renamed instead,
   * and looked over from then on, until it goes with its pod.
   */
  readonly keepsJoined: boolean;
  /** A failed start leaves no trace in the inspected state, so this process remembers it. */
  readonly forgetsFailedStarts: boolean;
  /** Closes the program's stdin when a connection that is attached to it closes. */
  readonly endsInputWithReader: boolean;
}
interface EngineBody {
  readonly HostConfig: { readonly CapAdd?: string[]; readonly CapDrop: string[]; readonly Privileged?: boolean };
}
const causeOf = (error: unknown) => (error as Partial<EngineError>).json?.cause;
const statusOf = (error: unknown) => (error as Partial<EngineError>).statusCode;

export const dockerDialect: Dialect = {
  product: 'Docker',
  adapt: async (_engine, body) => body,
  isImproperState: (error) => statusOf(error) === 409,
  keepsJoined: false,
  forgetsFailedStarts: false,
  endsInputWithReader: false,
};

/** `limits`: the text of /proc/self/limits. `pidMax`: that of /proc/sys/kernel/pid_max. */
export const podmanDialect = (limits: string, pidMax: string): Dialect => ({
  product: 'Podman',
  adapt: async (engine, body, join) => ({
    ...body,
    Healthcheck: undefined, // asked for none, Podman still makes a timer of systemd that runs every 30 s for each container
    // A container that joins a network keeps a host name of its own; with Docker the name comes with the network, and asking for one is an error.
    ...(join?.network === 'pod' ? { Hostname: (await inspectContainer(engine, join.id)).Config.Hostname } : {}),
    HostConfig: {
      ...body.HostConfig,
      CapAdd: withDockersDefaults(body.HostConfig),
      // Podman asks for a million of each, which fails where root may not raise limits; its service lowers its own to pid_max.
      Ulimits: [
        { Name: 'nofile', ...limitOf(limits, 'Max open files', podmanLimitMax) },
        { Name: 'nproc', ...limitOf(limits, 'Max processes', Number(pidMax) || podmanLimitMax) },
      ],
      PidsLimit: -1, // its own default is 2048 processes; Docker and Kubernetes have none
    },
  }),
  isImproperState: (error) => statusOf(error) === 409 || causeOf(error) === 'container state improper',
  keepsJoined: true,
  forgetsFailedStarts: true,
  endsInputWithReader: true,
});

/** Programs rely on what Docker grants without being asked, such as `ping` on raw sockets; Podman grants three fewer. */
function withDockersDefaults({ CapAdd = [], CapDrop, Privileged }: EngineBody['HostConfig']): string[] {
  const named = new Set([...CapAdd, ...CapDrop].map((name) => name.toUpperCase().replace(/^CAP_/, '')));
  if (Privileged || named.has('ALL')) return CapAdd;
  return [...CapAdd, ...['AUDIT_WRITE', 'MKNOD', 'NET_RAW'].filter((name) => !named.has(name))];
}

const podmanLimitMax = 1_048_576;
function limitOf(limits: string, name: string, most: number): { Soft: number; Hard: number } {
  const line = limits.split('\n').find((each) => each.startsWith(name)) ?? '';
  const hard = Number(line.slice(name.length).trim().split(/\s+/)[1]); // NaN: unlimited
  const limit = Math.min(podmanLimitMax, most, hard > 0 ? hard : podmanLimitMax);
  return { Soft: limit, Hard: limit };
}

const endedSuffix = '-ended';
export const endedName = (name: string): string => `${name.replace(/^\//, '')}${endedSuffix}`;
/** Of a sandbox's names: it was ended on purpose. */
export const isEndedName = (names: readonly string[]): boolean => names.some((name) => name.endsWith(endedSuffix));

/** Why starts failed, for an engine that does not keep it. */
export class FailedStarts {
  readonly #why = new Map<string, string>();

  note(id: string, why: string): void {
    this.#why.set(id, why);
  }
  forget(id: string): void {
    this.#why.delete(id);
  }
  /** As Docker would show it. */
  shown(details: InspectedContainer): InspectedContainer {
    const why = this.#why.get(details.Id);
    if (why === undefined || details.State.Status !== 'created') return details;
    return { ...details, State: { ...details.State, Error: why } };
  }
}

/** Asks the engine who it is. */
export async function dialectOf(engine: DockerEngine): Promise<Dialect> {
  const { Components = [] } = await engine.call<{ Components?: { Name: string }[] }>('GET', '/version');
  if (!Components.some(({ Name }) => /podman/i.test(Name))) return dockerDialect;
  return podmanDialect(readFileSync('/proc/self/limits', 'utf8'), readFileSync('/proc/sys/kernel/pid_max', 'utf8'));
}
