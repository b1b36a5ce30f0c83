import type Docker from 'dockerode';

/** An answer that is no success. The fields are those of the client library's errors, so that one reader serves both. */
export class EngineError extends Error {
  constructor(
    readonly statusCode: number,
    readonly json: { message?: string; cause?: string } | undefined,
    text: string,
  ) {
    super(json?.message ?? text);
  }
}
export interface EngineCall {
  /** Objects become JSON text, as the engine wants its filters. */
  readonly query?: Readonly<Record<string, string | number | boolean | object>>;
  readonly body?: object;
  readonly signal?: AbortSignal;
}

/**
 * The engine's API on its socket. Plain calls go by fetch: a third of the processor time of the client library, which
 * takes 25 MB and is loaded on first use only, for what needs it: pulls, imports and logs.
 */
export class DockerEngine {
  #library: Promise<Docker> | undefined;
  constructor(readonly socketPath: string) {}

  library(): Promise<Docker> {
    this.#library ??= import('dockerode').then(({ default: Client }) => new Client({ socketPath: this.socketPath }));
    return this.#library;
  }

  /** The parsed answer; undefined when there is none (204, and 304: it was so already). Throws EngineError. */
  async call<R = void>(method: 'GET' | 'POST' | 'DELETE', path: string, options: EngineCall = {}): Promise<R> {
    const response = await this.#send(method, path, options);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? /^[[{]/.test(text); // Podman's stats come without a type
    if (!response.ok && response.status !== 304)
      throw new EngineError(
        response.status,
        isJson && text ? (JSON.parse(text) as { message?: string; cause?: string }) : undefined,
        text,
      );
    return (text && isJson ? JSON.parse(text) : undefined) as R;
  }

  /** The lines of an answer that has no end; `opened` is called when it has begun. Aborting ends it without an error. */
  async *lines(path: string, options: EngineCall, opened: () => void): AsyncGenerator<string> {
    const response = await this.#send('GET', path, options);
    if (!response.ok) throw new EngineError(response.status, undefined, await response.text());
    opened();
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of response.body!) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        yield* lines;
      }
    } catch (error) {
      if (!options.signal?.aborted) throw error;
    }
  }

  async #send(method: string, path: string, { query, body, signal }: EngineCall): Promise<Response> {
    const text = Object.entries(query ?? {})
      .map(([key, value]) => `${key}=${encodeURIComponent(typeof value === 'object' ? JSON.stringify(value) : value)}`)
      .join('&');
    try {
      return await fetch(`http://localhost${path}${text ? `?${text}` : ''}`, {
        unix: this.socketPath,
        method,
        timeout: false, // a stop waits as long as the pod's grace, the event stream for ever
        ...(body ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } } : {}),
        ...(signal ? { signal } : {}),
      } as RequestInit);
    } catch (error) {
      if (signal?.aborted) throw error;
      const code = (error as { code?: string }).code ?? String(error);
      throw new Error(`Cannot connect to the container engine at unix://${this.socketPath}: ${code}`);
    }
  }
}

/** An inspected container, the fields used here. */
export interface InspectedContainer {
  readonly Id: string;
  /** Begins with a slash. */
  readonly Name: string;
  readonly Created: string;
  /** The image's id. */
  readonly Image: string;
  readonly Config: {
    readonly Image: string;
    readonly Tty: boolean;
    readonly Hostname: string;
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly State: {
    readonly Status: string;
    readonly Pid: number;
    readonly StartedAt: string;
    readonly FinishedAt: string;
    readonly ExitCode: number;
    readonly OOMKilled: boolean;
    readonly Error: string;
  };
}
export const inspectContainer = (engine: DockerEngine, id: string): Promise<InspectedContainer> =>
  engine.call<InspectedContainer>('GET', `/containers/${id}/json`);
