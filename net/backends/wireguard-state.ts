import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { End } from '../wireguard/generations.ts';
import { type KeyPair, newKeyPair, secretMark } from '../wireguard/keys.ts';
import { readPrivate, writePrivate } from './private-file.ts';

/** One generation of keys of this host. */
export interface OwnGeneration extends KeyPair {
  readonly number: number;
  /** Which of the two devices and ports it uses. */
  readonly slot: 0 | 1;
  /** Behind its pre-shared keys, as it was when the generation began; empty without. */
  readonly secret: string;
}
interface StateFile {
  readonly generations: readonly OwnGeneration[];
  readonly sendsOn: number;
  readonly quietSinceMs?: number;
}

/** The keys of this host, in one file that only its owner may read and that is replaced at once. They never leave the host. */
export class WireguardState {
  readonly #path: string;
  #state: StateFile;

  constructor(folder: string) {
    this.#path = join(folder, 'wireguard.json');
    const text = readPrivate(this.#path);
    this.#state = text === undefined ? { generations: [], sendsOn: 0 } : (JSON.parse(text) as StateFile);
  }
  get generations(): readonly OwnGeneration[] {
    return this.#state.generations;
  }
  get numbers(): number[] {
    return this.#state.generations.map(({ number }) => number);
  }
  get sendsOn(): number {
    return this.#state.sendsOn;
  }
  get quietSinceMs(): number | undefined {
    return this.#state.quietSinceMs;
  }
  of(number: number): OwnGeneration {
    const found = this.#state.generations.find((each) => each.number === number);
    if (!found) throw new Error(`this host has no keys of generation ${number}`);
    return found;
  }
  ends(basePort: number): Map<number, End> {
    return new Map(
      this.#state.generations.map(({ number, slot, publicKey, secret }) => [
        number,
        { publicKey, port: basePort + slot, mark: secret ? secretMark(secret) : '' },
      ]),
    );
  }

  /** Has these generations and no others from now on; new ones get new keys. Resolves to those that went. */
  keep(numbers: readonly number[], secret: string): OwnGeneration[] {
    const kept = this.#state.generations.filter(({ number }) => numbers.includes(number));
    const gone = this.#state.generations.filter(({ number }) => !numbers.includes(number));
    const generations = [...kept];
    for (const number of numbers.filter((each) => !kept.some((one) => one.number === each)))
      generations.push({ number, slot: generations.some(({ slot }) => slot === 0) ? 1 : 0, secret, ...newKeyPair() });
    if (gone.length || generations.length !== kept.length) {
      generations.sort((a, b) => a.number - b.number);
      const sendsOn = this.#state.sendsOn || generations[0]!.number;
      this.#write({ generations, sendsOn: Math.max(sendsOn, generations[0]!.number) });
    }
    return gone;
  }
  setProgress(sendsOn: number, quietSinceMs: number | undefined): void {
    if (sendsOn === this.#state.sendsOn && quietSinceMs === this.#state.quietSinceMs) return;
    const { generations } = this.#state;
    this.#write({ generations, sendsOn, ...(quietSinceMs === undefined ? {} : { quietSinceMs }) });
  }
  #write(state: StateFile): void {
    writePrivate(this.#path, JSON.stringify(state));
    this.#state = state;
  }
  clear(): void {
    rmSync(this.#path, { force: true });
    this.#state = { generations: [], sendsOn: 0 };
  }
}
