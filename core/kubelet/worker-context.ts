import type { ConfigMap, Pod, Secret, Service } from '#api';
import type { Clock, Log, Random, Tracer } from '#base';
import type { Client, Informer } from '#client';
import type { PodNetwork } from '#net/pod';
import type { ContainerRuntime, EventRecorder } from '#sdk';
import type { Backoff } from './backoff.ts';
import type { Images } from './images.ts';
import type { ReferencedObjects } from './referenced-objects.ts';
import type { VolumeSources } from './volumes/volumes.ts';

/** What the workers of all pods share. */
export interface WorkerContext {
  readonly client: Client;
  readonly pods: Informer<Pod>;
  readonly services: Informer<Service>;
  readonly configMaps: ReferencedObjects<ConfigMap>;
  readonly secrets: ReferencedObjects<Secret>;
  readonly events: EventRecorder;
  readonly runtime: ContainerRuntime;
  /** Pods may name a RuntimeClass. */
  readonly runtimeClasses: boolean;
  readonly podNetwork?: PodNetwork;
  readonly images: Images;
  readonly crashes: Backoff;
  readonly volumes: VolumeSources;
  /** Bounds how many pods the engine works for at once. */
  readonly gate: Gate;
  readonly nodeName: string;
  /** As they are now: a host may move. */
  readonly nodeIps: () => readonly string[];
  readonly allocatable: Readonly<Record<string, string>>;
  readonly memoryCapacityBytes: number;
  readonly seLinux: boolean;
  readonly clusterDomain: string;
  /** Absent: those of the cluster's DNS service. */
  readonly clusterDns?: readonly string[];
  /** User-Agent of probes and hooks. */
  readonly agent: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Absent: nobody asked for traces. */
  readonly tracer?: Tracer;
  /** Aborts when this kubelet stops; containers run on. */
  readonly signal: AbortSignal;
  /** The pod of this uid has left nothing behind. */
  onGone(uid: string): void;
}

/** At most `max` at once; the rest wait in order. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  constructor(max: number) {
    this.#free = max;
  }
  async run<R>(work: () => Promise<R>): Promise<R> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
