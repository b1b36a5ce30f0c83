import {
  isReason,
  type KubeObject,
  nodeKind,
  type Pod,
  type PodCertificateProjection,
  type PodCertificateRequest,
  podCertificateRequestKind,
  serviceAccountKind,
} from '#api';
import type { Clock } from '#base';
import type { Client } from '#client';

type Request = PodCertificateRequest & KubeObject;
export interface PodCertificate {
  /** PEM. */
  readonly key: string;
  readonly chain: string;
  /** On the monotonic clock. */
  readonly renewAtMs: number;
}
interface Pending {
  readonly name: string;
  readonly key: string;
}
const lookMs = 500;
const waitMsMax = 10_000;
const defaultSeconds = 86_400;

/** Certificates that pods ask for: the key is made here and never leaves the node, a signer in the cluster answers the request. */
export class PodCertificates {
  readonly #held = new Map<string, PodCertificate>();
  readonly #pending = new Map<string, Pending>();
  constructor(
    private readonly client: Client,
    private readonly clock: Clock,
    private readonly nodeName: string,
  ) {}

  /** `place` names the source within the pod. Throws while no signer has answered: the volume is tried again, with the same request. */
  async certificate(
    pod: Readonly<Pod>,
    place: string,
    source: Readonly<PodCertificateProjection>,
  ): Promise<PodCertificate> {
    const id = `${pod.metadata.uid} ${place}`;
    const held = this.#held.get(id);
    if (held && held.renewAtMs > this.clock.monotonicMs()) return held;
    try {
      const fresh = await this.#ask(pod, id, source);
      this.#held.set(id, fresh);
      return fresh;
    } catch (error) {
      if (held) return { ...held, renewAtMs: this.clock.monotonicMs() + waitMsMax }; // it may still be good; asked for again soon
      throw error;
    }
  }
  forget(podUid: string): void {
    for (const map of [this.#held, this.#pending])
      for (const id of map.keys()) if (id.startsWith(`${podUid} `)) map.delete(id);
  }

  async #ask(pod: Readonly<Pod>, id: string, source: Readonly<PodCertificateProjection>): Promise<PodCertificate> {
    let pending = this.#pending.get(id);
    if (!pending) this.#pending.set(id, (pending = await this.#create(pod, source)));
    const namespace = pod.metadata.namespace ?? '';
    for (const end = this.clock.monotonicMs() + waitMsMax; ; ) {
      const request = await this.client
        .get(podCertificateRequestKind, { namespace, name: pending.name })
        .catch((error: unknown) => {
          if (isReason(error, 'NotFound')) this.#pending.delete(id);
          throw error;
        });
      const { status } = request as Request;
      const refused = status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed');
      if (refused) {
        this.#pending.delete(id);
        throw new Error(
          `the request for a certificate ${pending.name} was not granted: ${refused.type}: ${refused.message ?? ''}`,
        );
      }
      if (status?.certificateChain && status.conditions?.some(({ type }) => type === 'Issued')) {
        this.#pending.delete(id);
        return { key: pending.key, chain: status.certificateChain, renewAtMs: this.#renewal(status) };
      }
      if (this.clock.monotonicMs() >= end) throw new Error(`the signer ${source.signerName} has not answered yet`);
      await this.clock.sleep(lookMs);
    }
  }

  #renewal({ beginRefreshAt, notAfter }: NonNullable<PodCertificateRequest['status']>): number {
    const [now, monotonic] = [this.clock.now(), this.clock.monotonicMs()];
    const at = Date.parse(beginRefreshAt ?? notAfter ?? '');
    return Number.isNaN(at) ? Number.POSITIVE_INFINITY : monotonic + Math.max(0, at - now);
  }

  async #create(pod: Readonly<Pod>, source: Readonly<PodCertificateProjection>): Promise<Pending> {
    const { name: podName = '', namespace = '', uid: podUID = '' } = pod.metadata;
    const serviceAccountName = pod.spec?.serviceAccountName || 'default';
    const [account, node, { requestCertificate }] = await Promise.all([
      this.client.get(serviceAccountKind, { namespace, name: serviceAccountName }),
      this.client.get(nodeKind, { name: this.nodeName }),
      import('../../wire/pki.ts'),
    ]);
    const { key, requestDer } = await requestCertificate(source.keyType);
    const made = await this.client.create(podCertificateRequestKind, {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'PodCertificateRequest',
      metadata: {
        namespace,
        generateName: `req-${podName.slice(0, 50)}-`,
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: podName, uid: podUID }],
      },
      spec: {
        signerName: source.signerName,
        podName,
        podUID,
        serviceAccountName,
        serviceAccountUID: account.metadata?.uid ?? '',
        nodeName: this.nodeName,
        nodeUID: node.metadata?.uid ?? '',
        maxExpirationSeconds: source.maxExpirationSeconds ?? defaultSeconds,
        stubPKCS10Request: Buffer.from(requestDer).toString('base64'),
        ...(source.userAnnotations && { unverifiedUserAnnotations: source.userAnnotations }),
      },
    } as Request);
    return { name: made.metadata?.name ?? '', key };
  }
}
