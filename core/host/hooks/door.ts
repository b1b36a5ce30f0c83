import { timingSafeEqual } from 'node:crypto';
import { CallError, type Channel, type Clock, dialChannel, listenChannels } from '#base';
import type { HookCalls, HookMethod } from '#sdk';
import { hooksProtocol } from '../protocol.ts';
import type { HookBoard } from './board.ts';
import { hookLimits } from './points.ts';

/** Between API servers and the host of one home: a unix socket in a folder of their user, and a secret for both. */
interface Asked {
  readonly plugin: string;
  readonly hook: string;
  readonly method: HookMethod;
  readonly body: never;
}
const helloMsMax = 2_000;
const metricsMsMax = 1_000;
/** Of one API server, of all plugins. */
const callsMax = 1_024;
/** Over the hook's own limit: the way there and back. */
const wayMs = 250;

/** Of the plugins that run, or of the process that runs them: scheduler and controllers. */
export type MetricsOf = 'plugins' | 'process';

/** The host's side: answers `ask` for those who have shown the secret. */
export function openHookDoor(
  path: string,
  secret: string,
  board: HookBoard,
  clock: Clock,
  metricsText: (of: MetricsOf) => string = () => '',
): Promise<AsyncDisposable> {
  return listenChannels(path, () => {
    let isKnown = false;
    return {
      clock,
      callsMax,
      async answer(method, body) {
        if (method === 'hello') {
          const { protocol, token } = body as { protocol: number; token: string };
          if (protocol !== hooksProtocol) throw new Error(`this host speaks protocol ${hooksProtocol}`);
          isKnown = sameText(token, secret);
          if (!isKnown) throw new Error('this is not the secret of the host');
          return { protocol: hooksProtocol };
        }
        if (isKnown && method === 'metrics') return metricsText(body === 'process' ? 'process' : 'plugins');
        if (method !== 'ask' || !isKnown) throw new Error('say hello first');
        const { plugin, hook, method: asked, body: what } = body as Asked;
        try {
          return { answer: await board.ask(plugin, hook, asked, what) };
        } catch (error) {
          if (error instanceof CallError) return { failure: error.failure, message: error.message };
          throw error;
        }
      },
    };
  });
}
const sameText = (given: unknown, secret: string): boolean =>
  typeof given === 'string' &&
  given.length === secret.length &&
  timingSafeEqual(Buffer.from(given), Buffer.from(secret));

/** Asks a plugin through its host. Rejects with CallError. */
export type AskPlugin = <M extends HookMethod>(
  plugin: string,
  hook: string,
  method: M,
  asked: HookCalls[M]['asked'],
) => Promise<HookCalls[M]['answer']>;

interface Where {
  readonly path: string;
  readonly secret: () => Promise<string>;
  readonly clock: Clock;
}
/** The API server's side: connected at the first call, and again after the host has gone. */
export function knockingAt(
  where: Where,
): AskPlugin & AsyncDisposable & { metricsText(of?: MetricsOf): Promise<string> } {
  const calls = new Way(where);
  const watches = new Way(where); // they wait long: a flood of them must not take the places of the hooks
  const ask = async (plugin: string, hook: string, method: HookMethod, body: unknown): Promise<unknown> => {
    const host = await (method === 'watch' ? watches : calls).connected();
    const { limitMs } = hookLimits[method];
    const said = (await host.call('ask', { plugin, hook, method, body }, limitMs + wayMs)) as
      | { readonly answer: unknown }
      | { readonly failure: CallError['failure']; readonly message: string };
    if ('failure' in said) throw new CallError(said.failure, said.message);
    return said.answer;
  };
  return Object.assign(ask as AskPlugin, {
    metricsText: async (of: MetricsOf = 'plugins') =>
      String(await (await calls.connected()).call('metrics', of, metricsMsMax)),
    async [Symbol.asyncDispose]() {
      calls[Symbol.dispose]();
      watches[Symbol.dispose]();
    },
  });
}

class Way implements Disposable {
  #channel: Channel | undefined;
  #opening: Promise<Channel> | undefined;
  constructor(private readonly where: Where) {}

  async connected(): Promise<Channel> {
    if (this.#channel?.isOpen) return this.#channel;
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined));
    return this.#opening.catch((error: unknown) => {
      throw new CallError('closed', `the plugin host does not answer: ${error instanceof Error ? error.message : ''}`);
    });
  }
  async #open(): Promise<Channel> {
    const { path, clock, secret } = this.where;
    const next = await dialChannel(path, {
      clock,
      callsMax,
      answer: () => {
        throw new Error('API servers answer nothing here');
      },
    });
    try {
      await next.call('hello', { protocol: hooksProtocol, token: await secret() }, helloMsMax);
    } catch (error) {
      next[Symbol.dispose]();
      throw error;
    }
    return (this.#channel = next);
  }
  [Symbol.dispose](): void {
    this.#channel?.[Symbol.dispose]();
  }
}
