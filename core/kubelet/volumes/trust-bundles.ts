import {
  type ClusterTrustBundle,
  type ClusterTrustBundleProjection,
  clusterTrustBundleKind,
  type KubeObject,
  matchesLabels,
  selectorOf,
} from '#api';
import type { Clock } from '#base';
import type { Informer, InformerFactory } from '#client';

type Bundle = ClusterTrustBundle & KubeObject;
const syncMsMax = 10_000;

/** The trust bundles of the cluster, read from when the first pod asks for one; pods are told of every change. */
export class TrustBundles {
  #informer: Informer<Bundle> | undefined;
  readonly #users = new Set<string>();
  constructor(
    private readonly informers: InformerFactory,
    private readonly clock: Clock,
    private readonly onChange: (podUids: readonly string[]) => void,
  ) {}

  /** The text of the file. Throws an Error that says why there is none; empty where that is allowed. */
  async text(podUid: string, projection: Readonly<ClusterTrustBundleProjection>): Promise<string> {
    this.#users.add(podUid);
    const { cache, synced } = this.#start();
    const stop = new AbortController();
    const late = this.clock.sleep(syncMsMax, stop.signal).then(() => {
      if (!stop.signal.aborted) throw new Error('the trust bundles of the cluster could not be read in time');
    });
    try {
      await Promise.race([synced, late]);
    } finally {
      stop.abort();
    }
    return bundleText(projection, projection.name ? [cache.get({ name: projection.name })] : cache.list());
  }
  release(podUid: string): void {
    this.#users.delete(podUid);
  }

  #start(): Informer<Bundle> {
    if (this.#informer) return this.#informer;
    this.#informer = this.informers.informer<Bundle>(clusterTrustBundleKind);
    this.#informer.onChange(() => this.onChange([...this.#users]));
    return this.#informer;
  }
}

/** Certificates of all bundles that are meant, each once; blocks of other sorts and words between them are left out. Pure. */
export function bundleText(
  { name, signerName, labelSelector, optional }: Readonly<ClusterTrustBundleProjection>,
  bundles: readonly (Readonly<Bundle> | undefined)[],
): string {
  const selector = labelSelector && selectorOf(labelSelector); // absent: none at all; empty: every one of the signer
  const found = bundles.filter(
    (bundle) =>
      bundle !== undefined &&
      (name
        ? bundle.metadata.name === name
        : selector !== undefined &&
          bundle.spec?.signerName === signerName &&
          matchesLabels(selector, bundle.metadata.labels ?? {})),
  ) as Bundle[];
  if (found.length === 0 && !optional)
    throw new Error(
      name
        ? `clustertrustbundle ${JSON.stringify(name)} not found`
        : 'combination of signerName and labelSelector matched zero ClusterTrustBundles',
    );
  const blocks = found.flatMap(({ spec }) => spec?.trustBundle?.match(certificate) ?? []);
  return [...new Set(blocks.map((block) => `${block.trim()}\n`))].sort().join('');
}
const certificate = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
