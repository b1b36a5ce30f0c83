/**
 * One step in the start of a pod. The pod's uid is the trace, and a step's id is made of the uid and its name: every process
 * knows both, so that nothing has to be carried from one to the next, and all of them agree on the tree.
 */
export interface Step {
  /** Of the pod: its 128 bits are the id of the trace. */
  readonly uid: string;
  readonly name: StepName;
  /** Tells steps of one name apart, such as containers. */
  readonly of?: string;
  /** Milliseconds since 1970. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
  /** Why it failed. */
  readonly error?: string;
  /** A W3C traceparent: the trace of somebody else that led to this one. */
  readonly causedBy?: string;
}
/** Every step there is, with the one that it is part of. Those that are a part's whole happen once in the life of a pod. */
export const stepParents = {
  'pod.create': undefined,
  'pod.schedule': 'pod.create',
  'pod.decide': 'pod.schedule',
  'pod.bind': 'pod.schedule',
  'pod.start': 'pod.create',
  'pod.sandbox': 'pod.start',
  'pod.network': 'pod.start',
  'pod.volumes': 'pod.start',
  'image.ensure': 'pod.start',
  'container.create': 'pod.start',
  'container.start': 'pod.start',
  'pod.ready': 'pod.start',
  'endpoints.write': 'pod.create',
} as const satisfies Readonly<Record<string, string | undefined>>;
export type StepName = keyof typeof stepParents;

/** Where steps go. Never throws, never waits: what cannot be kept is dropped. Absent where nobody asked for traces. */
export interface Tracer {
  step(step: Step): void;
}

/** Runs the work as one step. What it throws is the step's error, and thrown on; `errorOf`: of work that returns its failures. */
export async function asStep<T>(
  tracer: Tracer | undefined,
  now: () => number,
  step: Omit<Step, 'fromMs' | 'untilMs' | 'error'>,
  work: () => Promise<T>,
  errorOf: (result: T) => string | undefined = () => undefined,
): Promise<T> {
  if (!tracer) return work();
  const fromMs = now();
  try {
    const result = await work();
    const error = errorOf(result);
    tracer.step({ ...step, fromMs, untilMs: now(), ...(error !== undefined && { error }) });
    return result;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    tracer.step({ ...step, fromMs, untilMs: now(), error: text });
    throw error;
  }
}
