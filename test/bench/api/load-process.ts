import type { Socket } from 'bun';
import { endWithParent } from '../parts/leash.ts';
import { HttpReader } from './http-reader.ts';
import type { LoadJob, LoadResult, RequestJob, WatchJob } from './load.ts';

/** The load generator: one job as JSON in the first argument, its result as a line of JSON. Ends with its stdin. */
const job = JSON.parse(process.argv[2]!) as LoadJob;
endWithParent();
const { hostname, port, host } = new URL(job.url);
const address = { hostname, port: Number(port || 443) };

class Connection {
  socket!: Socket;
  #unsent: Uint8Array = new Uint8Array(0);
  static async open(reader: HttpReader, onClose: (error?: Error) => void): Promise<Connection> {
    const connection = new Connection();
    connection.socket = (await Bun.connect({
      ...address,
      tls: { rejectUnauthorized: false }, // a test server's certificate, whoever signed it
      socket: {
        data: (_, data) => reader.feed(data),
        drain: () => connection.#flush(),
        close: (_, error) => onClose(error),
        error: (_, error) => onClose(error),
      },
    })) as unknown as Socket;
    return connection;
  }
  send(bytes: Uint8Array): void {
    this.#unsent = this.#unsent.length > 0 ? Buffer.concat([this.#unsent, bytes]) : bytes;
    this.#flush();
  }
  #flush(): void {
    if (this.#unsent.length === 0) return;
    const sent = this.socket.write(this.#unsent);
    this.#unsent = this.#unsent.subarray(Math.max(0, sent));
  }
}

function textOf(request: { method: string; path: string; type?: string; body?: string }): Buffer {
  const body = Buffer.from(request.body ?? '');
  const head = [
    `${request.method} ${request.path} HTTP/1.1`,
    `host: ${host}`,
    `authorization: Bearer ${job.token}`,
    'accept: application/json',
    'user-agent: pintle-bench/1',
    ...(request.body === undefined
      ? []
      : [`content-type: ${request.type ?? 'application/json'}`, `content-length: ${body.length}`]),
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}

/** A template with `{w}` (connection) and `{i}` (serial number). */
const filled = (template: string, writer: number, serial: number): string =>
  template.replaceAll('{w}', String(writer)).replaceAll('{i}', String(serial));

const reopensMax = 5;
/** Every connection sends its next request when the last one was answered. */
async function requests({ request, connections, seconds, total }: RequestJob): Promise<LoadResult> {
  const latencies: number[] = [];
  let serial = 0;
  let errors = 0;
  let firstError: string | undefined;
  let endMs = Number.POSITIVE_INFINITY;
  const fixed = /\{[wi]\}/.test(request.path + (request.body ?? '')) ? undefined : textOf(request);
  const makeOne = (writer: number): Buffer => {
    const number = serial++;
    if (fixed) return fixed;
    const { path, body } = request;
    return textOf({
      ...request,
      path: filled(path, writer, number),
      body: body === undefined ? undefined : filled(body, writer, number),
    });
  };
  const run = async (writer: number): Promise<() => Promise<void>> => {
    let began = 0;
    const done = Promise.withResolvers<void>();
    let excerpt = '';
    let failed = false;
    const more = (): boolean => performance.now() < endMs && (total === undefined || serial < total);
    const next = (): void => {
      began = performance.now();
      connection.send(makeOne(writer));
    };
    const events = {
      head: (status) => {
        failed = status >= 400;
        excerpt = '';
      },
      body: (bytes) => {
        if (failed && excerpt.length < 400) excerpt += Buffer.from(bytes).toString();
      },
      end: (status) => {
        latencies.push(performance.now() - began);
        if (failed) {
          errors++;
          firstError ??= `${status} ${excerpt.slice(0, 400)}`;
        }
        if (more()) next();
        else done.resolve();
      },
    } satisfies ConstructorParameters<typeof HttpReader>[0];
    // A server may close a connection at any time; a few times that costs a client no more than the next one.
    let reopens = 0;
    const open = (): Promise<Connection> =>
      Connection.open(new HttpReader(events), async (error) => {
        if (++reopens > reopensMax) return done.reject(error ?? new Error('the server closed the connection'));
        try {
          connection = await open();
          if (isBegun && more()) next();
          else if (isBegun) done.resolve();
        } catch (again) {
          done.reject(again);
        }
      });
    let isBegun = false;
    let connection = await open();
    done.promise.catch(() => {});
    return () => {
      isBegun = true;
      if (!more()) done.resolve();
      else next();
      return done.promise;
    };
  };
  const starts = await Promise.all(Array.from({ length: connections }, (_, writer) => run(writer)));
  const began = performance.now();
  if (seconds !== undefined) endMs = began + seconds * 1000;
  await Promise.all(starts.map((start) => start()));
  const took = (performance.now() - began) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return { count: latencies.length, seconds: took, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), errors, firstError };
}

/** Opens the watches, says `ready`, then posts what they wait for and counts lines that end an event. */
async function watches({ path, watchers, events, trigger }: WatchJob): Promise<LoadResult> {
  const wanted = watchers * events;
  let seen = 0;
  const all = Promise.withResolvers<void>();
  const open = async (): Promise<void> => {
    const ready = Promise.withResolvers<void>();
    let last = 0;
    const reader = new HttpReader({
      head: (status) => (status === 200 ? ready.resolve() : ready.reject(new Error(`watch answered ${status}`))),
      body: (bytes) => {
        for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1))
          if ((at > 0 ? bytes[at - 1] : last) === 0x7d) seen++;
        last = bytes.at(-1) ?? last;
        if (seen >= wanted) all.resolve();
      },
      end: () => all.reject(new Error('a watch ended')),
    });
    const connection = await Connection.open(reader, () => all.reject(new Error('a watch was cut')));
    connection.send(textOf({ method: 'GET', path }));
    await ready.promise;
  };
  all.promise.catch(() => {});
  const atOnce = 50;
  for (let from = 0; from < watchers; from += atOnce)
    await Promise.all(Array.from({ length: Math.min(atOnce, watchers - from) }, open));
  console.log('ready');
  if (!trigger) {
    for await (const _ of Bun.stdin.stream()) {
    }
    return { count: 0, seconds: 0, p50Ms: 0, p99Ms: 0, maxMs: 0, errors: 0 };
  }
  const began = performance.now();
  const writes = await requests({ ...job, type: 'requests', request: trigger, connections: 8, total: events });
  if (writes.errors > 0) throw new Error(writes.firstError);
  await all.promise;
  return { ...writes, count: seen, seconds: (performance.now() - began) / 1000 };
}

console.log(JSON.stringify(job.type === 'watch' ? await watches(job) : await requests(job)));
process.exit(0);
