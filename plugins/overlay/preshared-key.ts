import { type NodePartContext, secretKind } from '#sdk';
import { type HostLease, type LeaseStatus, presharedSecret } from './kinds.ts';

const againAfterMs = 600_000;
const fileName = 'preshared-key';

/**
 * The cluster's secret behind the keys of pairs, on this host: in a file that only its owner may read, where the backend
 * looks. Keys come from it when the next rotation begins, which is asked for once every host has it.
 */
export class PresharedKey {
  #readAtMs = Number.NEGATIVE_INFINITY;
  #mark: string | undefined;
  #usedMark: string | undefined;
  constructor(private readonly context: NodePartContext) {}

  async keep(isWanted: boolean): Promise<void> {
    const { client, clock, machine, folder } = this.context;
    if (!isWanted || clock.monotonicMs() - this.#readAtMs < againAfterMs) return;
    const text = (await client.get(secretKind, presharedSecret)).data?.['key'] ?? '';
    if (Buffer.from(text, 'base64').length < 32)
      throw new Error(`the secret ${presharedSecret.namespace}/${presharedSecret.name} holds no key of 32 bytes`);
    await machine.files.mkdir(folder, { recursive: true, mode: 0o700 });
    const path = `${folder}/${fileName}`;
    const before = await machine.files.readFile(path, 'utf8').catch(() => undefined);
    if (before !== text) {
      await machine.files.writeFile(`${path}.new`, text, { mode: 0o600 });
      await machine.files.rename(`${path}.new`, path);
    } else this.#usedMark ??= markOf(text); // of an earlier life, which has rotated since
    this.#mark = markOf(text);
    this.#readAtMs = clock.monotonicMs();
  }
  /** Every host that is ready has the secret, and keys are not made from it yet. */
  isDue(leases: readonly Readonly<HostLease>[]): 'secret' | undefined {
    if (!this.#mark || this.#usedMark === this.#mark) return undefined;
    return leases.every(({ status }) => status?.secretMark === this.#mark) ? 'secret' : undefined;
  }
  used(): void {
    this.#usedMark = this.#mark;
  }
  status(): Pick<LeaseStatus, 'secretMark'> {
    return this.#mark ? { secretMark: this.#mark } : {};
  }
}
/** Tells one secret from another and nothing about it. */
const markOf = (text: string): string =>
  new Bun.CryptoHasher('sha256').update(`pintle overlay mark\0${text}`).digest('hex').slice(0, 12);
