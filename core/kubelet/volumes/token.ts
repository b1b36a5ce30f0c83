import { type Pod, pathOf, serviceAccountKind } from '#api';
import type { Clock } from '#base';
import type { Client } from '#client';

interface TokenRequest {
  spec?: { expirationSeconds?: number };
  status?: { token: string; expirationTimestamp: string };
}
interface Held {
  readonly token: string;
  /** On the monotonic clock: neither a jump of this node's wall clock nor a difference to the server's makes a token expire. */
  readonly renewAtMs: number;
}
const defaultSeconds = 3600;
const renewAfterMaxMs = 24 * 3_600_000;

/** ServiceAccount tokens bound to their pod, asked for once and again at 80 % of their life. */
export class PodTokens {
  readonly #held = new Map<string, Held>();
  constructor(
    private readonly client: Client,
    private readonly clock: Clock,
  ) {}

  /** Resolves to the token text and the (monotonic) time at which it should be renewed. */
  async token(pod: Readonly<Pod>, audience: string | undefined, seconds = defaultSeconds): Promise<Held> {
    const key = `${pod.metadata.uid} ${audience ?? ''} ${seconds}`;
    const held = this.#held.get(key);
    const now = this.clock.monotonicMs();
    if (held && held.renewAtMs > now) return held;
    const name = pod.spec?.serviceAccountName || 'default';
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: audience ? [audience] : [],
        expirationSeconds: seconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
      },
    };
    const path = pathOf(serviceAccountKind, pod.metadata.namespace, name, 'token');
    const { spec, status } = await this.client.request<TokenRequest>('POST', path, body);
    if (!status) throw new Error(`no token for service account ${name}`);
    const lifeMs = (spec?.expirationSeconds ?? seconds) * 1000; // the server may grant another one than asked for
    const fresh = { token: status.token, renewAtMs: now + Math.min(lifeMs * 0.8, renewAfterMaxMs) };
    this.#held.set(key, fresh);
    return fresh;
  }

  forget(podUid: string): void {
    for (const key of this.#held.keys()) if (key.startsWith(`${podUid} `)) this.#held.delete(key);
  }
}
