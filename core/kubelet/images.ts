import type { Container } from '#api';
import { type Clock, durationText, messageOf } from '#base';
import { type ContainerRuntime, ImageError, type ImageInfo } from '#sdk';
import { Backoff } from './backoff.ts';

export type ImageResult =
  | { readonly ok: true; readonly image: ImageInfo }
  | { readonly ok: false; readonly reason: string; readonly message: string; readonly retryAtMs: number };
type Emit = (type: 'Normal' | 'Warning', reason: string, message: string) => void;

const neverRetryMs = 60_000;

/** Images on demand, with the pull policy, the back-off and the events that clients know. */
export class Images {
  readonly #backoff = new Backoff();
  /** Why the last pull failed, by pod and image. */
  readonly #failures = new Map<string, { atMs: number; message: string }>();
  constructor(
    /** Of a pod. */
    private readonly runtimeOf: (podUid: string) => Pick<ContainerRuntime, 'ensureImage'>,
    private readonly clock: Clock,
  ) {}

  /** Never throws, except when the signal aborts. */
  async ensure(podUid: string, container: Container, emit: Emit, signal: AbortSignal): Promise<ImageResult> {
    const name = container.image ?? '';
    const policy = (container.imagePullPolicy ?? 'IfNotPresent') as 'Always' | 'IfNotPresent' | 'Never';
    if (policy !== 'Always') {
      const present = await this.#present(podUid, name, policy, emit, signal);
      if (present) return present;
    }
    return this.#pull(podUid, name, policy === 'Always' ? 'Always' : 'IfNotPresent', emit, signal);
  }

  forget(podUid: string): void {
    this.#backoff.forget(podUid);
    for (const key of this.#failures.keys()) if (key.startsWith(podUid)) this.#failures.delete(key);
  }

  /** Undefined: not here, and may be pulled. */
  async #present(
    podUid: string,
    name: string,
    policy: string,
    emit: Emit,
    signal: AbortSignal,
  ): Promise<ImageResult | undefined> {
    try {
      const image = await this.runtimeOf(podUid).ensureImage(name, 'Never', signal);
      emit('Normal', 'Pulled', `Container image "${name}" already present on machine and can be accessed by the pod`);
      return { ok: true, image };
    } catch (error) {
      signal.throwIfAborted();
      const reason = error instanceof ImageError ? error.reason : 'ImageInspectError';
      if (reason === 'ErrImageNeverPull' && policy === 'Never') {
        const message = `Container image "${name}" is not present with pull policy of Never`;
        emit('Warning', 'ErrImageNeverPull', message);
        return { ok: false, reason, message, retryAtMs: this.clock.now() + neverRetryMs };
      }
      if (reason === 'ErrImageNeverPull') return undefined;
      const message =
        reason === 'InvalidImageName'
          ? `Failed to apply default image tag "${name}": ${messageOf(error)}`
          : `Failed to inspect image "${name}": ${messageOf(error)}`;
      emit('Warning', 'InspectFailed', message);
      return { ok: false, reason, message, retryAtMs: this.clock.now() + neverRetryMs };
    }
  }

  async #pull(
    podUid: string,
    name: string,
    policy: 'Always' | 'IfNotPresent',
    emit: Emit,
    signal: AbortSignal,
  ): Promise<ImageResult> {
    const key = `${podUid}_${name}`;
    const failure = this.#failures.get(key);
    const untilMs = failure ? this.#backoff.untilMs(key, failure.atMs) : 0;
    if (failure && untilMs > this.clock.now()) {
      emit('Normal', 'BackOff', `Back-off pulling image "${name}"`);
      const message = `Back-off pulling image "${name}": ${failure.message}`;
      return { ok: false, reason: 'ImagePullBackOff', message, retryAtMs: untilMs };
    }
    emit('Normal', 'Pulling', `Pulling image "${name}"`);
    const startedMs = this.clock.monotonicMs();
    try {
      const image = await this.runtimeOf(podUid).ensureImage(name, policy, signal);
      const took = durationText(Math.round(this.clock.monotonicMs() - startedMs));
      emit(
        'Normal',
        'Pulled',
        `Successfully pulled image "${name}" in ${took} (${took} including waiting). Image size: ${image.sizeBytes} bytes.`,
      );
      this.#backoff.reset(key);
      this.#failures.delete(key);
      return { ok: true, image };
    } catch (error) {
      signal.throwIfAborted();
      const reason = error instanceof ImageError ? error.reason : 'ErrImagePull';
      const message = messageOf(error);
      emit('Warning', 'Failed', `Failed to pull image "${name}": ${message}`);
      const atMs = this.clock.now();
      this.#backoff.next(key, atMs);
      this.#failures.set(key, { atMs, message: `${reason}: ${message}` });
      // Asked again soon, so that the status turns to ImagePullBackOff; the pull itself waits for the back-off.
      return { ok: false, reason, message, retryAtMs: atMs + 1_000 };
    }
  }
}
