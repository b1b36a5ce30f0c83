import type { Kind, ObjectKey } from '#api';
import type { Clock, Log, Random, Tracer } from '#base';
import type { Client, InformerFactory } from '#client';
import type { EventRecorder } from './events.ts';

export interface ReconcileContext {
  /** Its writes are visible in the informers at once. */
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Absent: nobody asked for traces. */
  readonly tracer?: Tracer;
}

/**
 * Level-driven: gets a key, never an event, and is safe to run twice. `current` is undefined when the object is gone.
 * Outcomes: nothing (done), requeueAfterMs (again then), a throw (again with back-off), TerminalError (logged, not retried).
 */
export interface Reconciler<T> {
  reconcile(
    key: ObjectKey,
    current: Readonly<T> | undefined,
    context: ReconcileContext,
  ): Promise<{ requeueAfterMs?: number } | void>;
}
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

export interface ControllerSpec<T> {
  readonly name: string;
  readonly watches: Kind<T>;
  /** Children whose controller ownerReference points at the watched kind wake it. */
  readonly owns?: readonly Kind<unknown>[];
  readonly alsoOn?: readonly {
    readonly kind: Kind<unknown>;
    keys(object: never, informers: InformerFactory): readonly ObjectKey[];
  }[];
  readonly workersMax?: number;
  /** Of the back-off after a throw; default 1,000 s. */
  readonly retryMsMax?: number;
  /** Work that is not of one kind: begins once the caches are filled and resolves after the signal aborts. A throw ends it for good. */
  readonly run?: (context: ReconcileContext) => Promise<void>;
  readonly reconciler: Reconciler<T>;
}
