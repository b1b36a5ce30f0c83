/** Datagrams to one place of this host, counted by the address they come from. */
export interface LimitedPlace {
  readonly ip: string;
  readonly port: number;
}
/** Keeps one sender from filling a socket's queue, which is everybody's: what is above his share ends in the kernel. */
export interface SourceLimit {
  /** These places and no others. Throws NFT_FAILED; the former ones hold then. */
  hold(places: readonly LimitedPlace[]): Promise<void>;
  purge(): Promise<void>;
}
