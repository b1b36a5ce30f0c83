import * as jose from 'jose';
import type { Status } from '#api';
import { type Clock, type Log, messageOf } from '#base';
import type { Fetch } from '#client';
import type { TokenAnswer } from '../../apiserver/enrollment/desk.ts';
import type { NodePublicKey } from '../../apiserver/enrollment/identity.ts';
import { type NodePart, signAssertion } from '../../apiserver/enrollment/node-tokens.ts';
import { enrollmentPaths } from '../../apiserver/enrollment/paths.ts';
import type { Home } from '../home.ts';

const keyFile = 'pki/node.key';
const retryMs = { first: 500, most: 10_000 };

/** The node's key, made on this host at its first join and never shown to anybody. */
export async function nodeKey(home: Home): Promise<{ privateKey: jose.CryptoKey; publicKey: NodePublicKey }> {
  let pem = home.readFile(keyFile);
  if (!pem) {
    const made = await jose.generateKeyPair('ES256', { extractable: true });
    pem = await jose.exportPKCS8(made.privateKey);
    home.writeFile(keyFile, pem);
  }
  const privateKey = await jose.importPKCS8(pem, 'ES256', { extractable: true });
  const { x, y } = await jose.exportJWK(privateKey); // without `d`, the private part
  return { privateKey, publicKey: { kty: 'EC', crv: 'P-256', x: x!, y: y! } };
}

/** A Status that the server answered with, or its words. */
export async function refusalOf(answer: Response): Promise<{ reason: string; message: string }> {
  const text = await answer.text();
  try {
    const { reason = '', message = '' } = JSON.parse(text) as Partial<Status>;
    return { reason, message };
  } catch {
    return { reason: '', message: `HTTP ${answer.status} ${text.slice(0, 200)}` };
  }
}

export interface IdentityOptions {
  readonly home: Home;
  readonly nodeName: string;
  readonly clusterId: string;
  readonly fetch: Fetch;
  readonly baseUrl: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** The cluster has taken this node away. Called once. */
  onRemoved(message: string): void;
}

/** Tokens of this node's parts: fetched with a signed assertion, and again when half of their life is over. */
export class NodeIdentityKeeper {
  #tokens: Readonly<Record<NodePart, string>> | undefined;
  #first = Promise.withResolvers<void>();
  #hurry = Promise.withResolvers<void>();
  #offsetMs = 0; // the server's clock less ours: a clock that jumps here must not cut the node off
  constructor(private readonly options: IdentityOptions) {}

  /** Waits for the first ones. Rejects when the signal aborts. */
  async token(part: NodePart, signal?: AbortSignal): Promise<string> {
    if (!this.#tokens) await Promise.race([this.#first.promise, aborted(signal), aborted(this.options.signal)]);
    return this.#tokens![part];
  }
  /** A token was not taken: new ones are fetched soon, or it is learnt why there are none. */
  refused = (): void => this.#hurry.resolve();

  /** Until the signal aborts, or this node is removed. */
  async keep(): Promise<void> {
    const { clock, signal, log } = this.options;
    const { privateKey } = await nodeKey(this.options.home);
    let waitMs = retryMs.first;
    while (!signal.aborted) {
      try {
        const seconds = await this.#renew(privateKey);
        if (seconds === undefined) return;
        waitMs = retryMs.first;
        this.#hurry = Promise.withResolvers();
        const stop = new AbortController();
        await Promise.race([
          clock.sleep((seconds * 1000) / 2, AbortSignal.any([signal, stop.signal])),
          this.#hurry.promise,
        ]);
        stop.abort();
        await clock.sleep(retryMs.first, signal);
      } catch (error) {
        log.warn('no tokens for this node', { error: messageOf(error) });
        await clock.sleep(waitMs, signal);
        waitMs = Math.min(waitMs * 2, retryMs.most);
      }
    }
  }

  /** How long they live; undefined when the node was removed. */
  async #renew(key: jose.CryptoKey, again = false): Promise<number | undefined> {
    const { nodeName, clusterId, clock, fetch, baseUrl, home } = this.options;
    const assertion = await signAssertion(key, nodeName, clusterId, clock.now() + this.#offsetMs);
    const answer = await fetch(
      new Request(baseUrl + enrollmentPaths.tokens, { method: 'POST', body: JSON.stringify({ assertion }) }),
    );
    if (answer.ok) {
      const { tokens, expiresInSeconds } = (await answer.json()) as TokenAnswer;
      home.writeFile('credentials/node.token', `${tokens.kubelet}\n`);
      home.writeFile('credentials/proxy.token', `${tokens.proxy}\n`); // programs of plugins read it from there
      this.#tokens = tokens;
      this.#first.resolve();
      return expiresInSeconds;
    }
    const { reason, message } = await refusalOf(answer);
    if (reason === 'NodeRemoved') {
      this.options.onRemoved(message);
      return undefined;
    }
    const serverMs = Date.parse(answer.headers.get('date') ?? '');
    if (reason === 'ClockSkew' && serverMs && !again) {
      this.options.log.warn('the clock of this host is wrong', { message });
      this.#offsetMs = serverMs - clock.now();
      return this.#renew(key, true);
    }
    throw new Error(message);
  }
}

const aborted = (signal: AbortSignal | undefined): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal?.aborted) reject(signal.reason as Error);
    else signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
