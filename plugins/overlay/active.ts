import type { network } from '#sdk';

/** One backend on this host, as far as it is known to this process. */
export interface Active {
  readonly name: string;
  readonly backend: network.NetworkBackend;
  readonly prepared: network.Prepared;
  readonly report?: network.SyncReport;
  /** That it was told of, and their mark. */
  readonly peers: readonly network.Lease[];
  readonly mark: string;
  readonly rejected: readonly { readonly node: string; readonly reason: string }[];
}
