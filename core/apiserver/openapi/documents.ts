import { facts } from '#api';
import type { Clock } from '#base';
import type { OpenApi, ServedKind } from '../contract.ts';
import { gnosticPieces } from './gnostic.ts';

/** A document is made in slices of so long, with a turn of the loop between them: 2 MB of it take 100 ms and more. */
const sliceMs = 4;
/** Raised with every change of how documents are made: clients keep what lies under a hash for ever. */
const formRevision = 2;

export interface Document {
  readonly bytes: Uint8Array;
  /** Made on first demand. */
  gzip?: Uint8Array;
  /** Of what it says; the `hash` of its address and its ETag. */
  readonly hash: string;
}

/** OpenAPI documents, made once for each change of what they describe. */
export class Documents {
  readonly #made = new Map<string, { readonly hash: string; readonly document: Promise<Document> }>();
  readonly #hashes = new WeakMap<readonly ServedKind[], Map<string, string>>();

  constructor(
    private readonly openApi: OpenApi,
    private readonly clock: Clock,
  ) {}

  /** Known without making the document, so that the index of all of them costs nothing. */
  hashOf(group: string | undefined, version: string, kinds: readonly ServedKind[]): string {
    const known = this.#hashes.get(kinds) ?? new Map<string, string>();
    this.#hashes.set(kinds, known);
    const key = `${group}/${version}`;
    let hash = known.get(key);
    if (!hash) {
      const described = kinds
        .filter(({ kind }) => group === undefined || (kind.group === group && kind.version === version))
        .map(({ kind, strategy, scale, schema }) => [
          { ...kind, storedAs: undefined },
          strategy.subresources,
          scale && { ...scale, selector: undefined },
          schema?.revision,
        ]);
      const text = JSON.stringify([formRevision, facts().version, key, described]);
      hash = new Bun.CryptoHasher('sha512').update(text).digest('hex').toUpperCase();
      known.set(key, hash);
    }
    return hash;
  }

  /** Undefined: no such group and version. */
  async v3(group: string, version: string, kinds: readonly ServedKind[]): Promise<Document | undefined> {
    if (!kinds.some(({ kind }) => kind.group === group && kind.version === version)) return undefined;
    return this.#keep(`${group}/${version}`, this.hashOf(group, version, kinds), () =>
      this.openApi.openApiV3(group, version, kinds),
    );
  }
  async v2(kinds: readonly ServedKind[]): Promise<Document> {
    return this.#keep('v2', this.hashOf(undefined, 'v2', kinds), () => this.openApi.openApiV2(kinds));
  }

  /** The same in gnostic's protobuf. */
  async v2Protobuf(document: Document): Promise<Document> {
    const parsed = () => JSON.parse(Buffer.from(document.bytes).toString()) as Record<string, unknown>;
    return this.#keep('v2 protobuf', document.hash, () => gnosticPieces(parsed()));
  }

  #keep(key: string, hash: string, make: () => Iterable<string | Uint8Array>): Promise<Document> {
    const known = this.#made.get(key);
    if (known?.hash === hash) return known.document;
    const document = this.#assemble(make(), hash);
    this.#made.set(key, { hash, document });
    document.catch(() => this.#made.delete(key)); // the next request tries again
    return document;
  }

  async #assemble(pieces: Iterable<string | Uint8Array>, hash: string): Promise<Document> {
    const parts: Uint8Array[] = [];
    let began = this.clock.monotonicMs();
    for (const piece of pieces) {
      parts.push(typeof piece === 'string' ? Buffer.from(piece) : piece);
      if (this.clock.monotonicMs() - began < sliceMs) continue;
      await this.clock.soon();
      began = this.clock.monotonicMs();
    }
    return { bytes: Buffer.concat(parts), hash };
  }
}
