import { parse as parseYaml } from 'yaml';
import { decodeProtobuf } from '../../core/apiserver/protobuf/decode.ts';
import table from '../../core/apiserver/protobuf/gen/table.json';
import { inOneOrder, mask, pick } from './compare.ts';
import type { Exchange, Part } from './scenario.ts';
import type { Server } from './servers.ts';

/** One answer, masked, with only what is compared. */
export type Answer = Readonly<Record<string, unknown>>;
const defaultParts: readonly Part[] = ['status', 'type', 'warning', 'body'];
const streamWaitMs = 2_000;
const settleMsMax = 20_000;

/** Sends a scenario's exchanges to one server, in order; keeps what later ones refer to. */
export class Sender {
  readonly #kept = new Map<string, string>();
  constructor(
    private readonly server: Server,
    namespace: string,
  ) {
    this.#kept.set('ns', namespace);
  }

  async send(exchange: Exchange): Promise<Answer> {
    const response = await this.#settled(exchange);
    const body =
      exchange.frames && response.ok
        ? await this.#frames(response, exchange.frames, exchange.meanwhile ?? [])
        : await bodyOf(response);
    for (const [name, path] of Object.entries(exchange.keep ?? {}))
      this.#kept.set(name, String(pick(body, path) ?? ''));
    const all: Record<Part, unknown> = {
      status: response.status,
      type: response.headers.get('content-type'),
      warning: response.headers.get('warning'),
      cache: response.headers.get('cache-control'),
      vary: response.headers.get('vary'),
      body: exchange.only ? pick(body, exchange.only) : body,
    };
    const ordered = exchange.anyOrder ? inOneOrder : (value: unknown) => value;
    return Object.fromEntries((exchange.compare ?? defaultParts).map((part) => [part, mask(ordered(all[part]))]));
  }

  async #settled(exchange: Exchange): Promise<Response> {
    for (const end = performance.now() + settleMsMax; ; await Bun.sleep(50)) {
      const response = await this.#fetch(exchange);
      const isDone = exchange.untilStatus === undefined || response.status === exchange.untilStatus;
      if (isDone || performance.now() > end) return response;
      await response.arrayBuffer();
    }
  }

  async #fetch(exchange: Exchange): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.server.token}`, 'user-agent': 'diff/1' };
    const { body } = exchange;
    if (body !== undefined) headers['content-type'] = 'application/json';
    for (const [name, value] of Object.entries(exchange.headers ?? {})) headers[name.toLowerCase()] = this.#fill(value);
    const raw = body instanceof Uint8Array;
    const text =
      body === undefined || raw ? undefined : this.#fill(typeof body === 'string' ? body : JSON.stringify(body));
    return fetch(this.server.url + this.#fill(exchange.path), {
      method: exchange.method ?? (body === undefined ? 'GET' : 'POST'),
      headers,
      body: raw ? (body as Uint8Array<ArrayBuffer>) : text,
      redirect: 'manual',
      tls: { rejectUnauthorized: false },
    });
  }

  async #frames(response: Response, count: number, meanwhile: readonly Exchange[]): Promise<unknown[]> {
    if (!response.body) return [];
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const giveUp = setTimeout(() => void reader.cancel(), streamWaitMs);
    const others = (async () => {
      for (const exchange of meanwhile) await (await this.#fetch(exchange)).arrayBuffer();
    })();
    const frames: unknown[] = [];
    if (response.headers.get('content-type')?.includes('protobuf')) {
      const { value } = await reader.read();
      clearTimeout(giveUp);
      await reader.cancel();
      return [value ? protobufFrame(value) : 'nothing'];
    }
    let buffered = '';
    const decoder = new TextDecoder();
    while (frames.length < count) {
      const { value, done } = await reader.read();
      if (done) break;
      buffered += decoder.decode(value, { stream: true });
      const lines = buffered.split('\n');
      buffered = lines.pop()!;
      frames.push(...lines.filter((line) => line.trim()).map(parsed));
    }
    clearTimeout(giveUp);
    await others;
    await reader.cancel();
    return frames.slice(0, count);
  }

  #fill(text: string): string {
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => this.#kept.get(name) ?? whole);
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const type = response.headers.get('content-type') ?? '';
  if (type.startsWith('application/vnd.kubernetes.protobuf')) {
    try {
      return decodeProtobuf(bytes, table);
    } catch (error) {
      return `undecodable: ${String(error)}`;
    }
  }
  const text = new TextDecoder().decode(bytes);
  if (type === 'application/yaml') return parseYaml(text);
  return /^\s*[[{]/.test(text) ? parsed(text) : text;
}

/** Of a watch: the object of the first event; its envelope stands behind the event's type. */
function protobufFrame(bytes: Uint8Array): unknown {
  const buffer = Buffer.from(bytes);
  const size = buffer.readUInt32BE(0);
  return decodeProtobuf(bytes.subarray(buffer.indexOf('k8s\0'), 4 + size), table);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
