import { apiVersionOf, compareVersions, errors, type ResourceVersion, type Status, StatusError } from '#api';
import { messageOf } from '#base';
import { CachedObject } from './cached-object.ts';
import type { ServedKind } from './contract.ts';
import type { ApiMetrics } from './metrics.ts';
import { jsonType, protobufType } from './negotiate.ts';
import { watchFrame } from './protobuf/encodings.ts';
import type { CacheEvent, EventSink, ResourceCache } from './resource-cache.ts';
import type { Selection } from './selection.ts';
import { isPlain, type View, viewObject } from './views.ts';
import type { Timed } from './watch-times.ts';

/** Changes that one watcher may lag behind before it is cut and has to list again. */
export const watchBacklogEventsMax = 4096;
/** Bytes of objects that one watcher may keep from being forgotten; 4096 large ones would be 6 GB. */
export const watchBacklogBytesMax = 64 * 1024 * 1024;
/** How the frames are typed; a table or metadata in them is the client's to know, as upstream. */
export const streamType = ({ wanted }: View): string =>
  wanted.format === 'protobuf' ? `${protobufType};stream=watch` : jsonType;
const chunkBytes = 64 * 1024;
const bookmarkMs = 60_000;
const lastBookmarkMs = 2_000; // one more goes out just before the end
const byBytes = new ByteLengthQueuingStrategy({ highWaterMark: chunkBytes });
const encoder = new TextEncoder();
const newline = encoder.encode('}\n');
const space = encoder.encode(' ');

const statusOf = (error: unknown): Status =>
  (error instanceof StatusError ? error : errors.internal(messageOf(error))).toStatus();

interface Item {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object?: CachedObject;
  readonly value?: unknown;
  /** Of a change that waits; the states that a watch begins with are everybody's. */
  readonly heldBytes?: number;
}

/**
 * One watch as a byte stream. It holds references, not bytes: frames are made when the reader takes them,
 * so a slow reader costs a pointer for each change, up to a bound.
 */
export class WatchStream implements EventSink, Timed {
  readonly stream: ReadableStream<Uint8Array>;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #backlog: Item[] = [];
  #next = 0;
  #live = 0;
  #heldBytes = 0;
  #closing = false;
  #closed = false;
  #columnsSent = false;
  #above: ResourceVersion | undefined;
  #onEnd: (() => void) | undefined;
  #newest: (() => ResourceVersion) | undefined;
  #endMs = Number.POSITIVE_INFINITY;
  dueMs = Number.POSITIVE_INFINITY;

  constructor(
    private readonly cache: ResourceCache,
    private readonly selection: Selection,
    private readonly view: View,
    readonly bookmarks: boolean,
    private readonly metrics?: Pick<ApiMetrics, 'watchEvents'>,
  ) {
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#flush(),
        cancel: () => this.#end(),
      },
      byBytes,
    );
  }
  /**
   * `onEnd` is called once, when nobody reads any more or everything was sent. `newest`: the version of bookmarks on the way.
   * False: it has ended already.
   */
  live(nowMs: number, lifeMs: number, newest: () => ResourceVersion, onEnd: () => void): boolean {
    if (this.#closed) {
      onEnd();
      return false;
    }
    this.#onEnd = onEnd;
    this.#newest = newest;
    this.#endMs = nowMs + lifeMs;
    if (!this.#closing) this.#schedule(nowMs);
    return true;
  }
  onDue(nowMs: number): void {
    if (nowMs >= this.#endMs) return this.close();
    if (this.#newest) this.onBookmark(this.#newest());
    this.#schedule(nowMs);
  }
  #schedule(nowMs: number): void {
    const leftMs = this.#endMs - nowMs;
    const earlyMs = leftMs > 2 * lastBookmarkMs ? leftMs - lastBookmarkMs : leftMs;
    this.dueMs = nowMs + (this.bookmarks ? Math.min(bookmarkMs, earlyMs) : leftMs);
  }

  /** Sends the initial states, then what changed since, then every change. No turn of the loop lies between. */
  begin(
    initial: readonly CachedObject[],
    history: readonly CacheEvent[],
    {
      initialEndAt,
      above,
      at,
    }: {
      /** Marks the end of the initial states with a bookmark of this version. */
      readonly initialEndAt?: ResourceVersion;
      /** Only what happens after this version is sent. */
      readonly above?: ResourceVersion;
      /** Where a stream stands that begins with history. */
      readonly at?: ResourceVersion;
    } = {},
  ): void {
    this.#above = above;
    for (const object of initial) this.#backlog.push({ type: 'ADDED', object });
    if (initialEndAt) this.#bookmark(initialEndAt, { 'k8s.io/initial-events-end': 'true' });
    for (const event of history) if (!this.#waits(event)) this.#select(event);
    if (this.#backlog.length === 0) this.#sendHead(at);
    this.cache.sinks.add(this);
    this.#flush();
  }

  /**
   * Bun sends the head of an answer with its first bytes, and clients wait for the head. White space before a value means
   * nothing in JSON; an empty line would to clients that read lines (Python's yields it as an event).
   * A protobuf stream has no white space: a bookmark brings the head to those who take one, to the others the first byte of
   * the first frame's length, which is 0 for every frame below 16 MiB; the frame then comes without it.
   */
  #sendHead(at: ResourceVersion | undefined): void {
    const isJson = this.view.wanted.format !== 'protobuf';
    if (!isJson && this.bookmarks && at) {
      this.#bookmark(at);
      return;
    }
    this.#controller.enqueue(isJson ? space : new Uint8Array(1));
    this.#isLengthBegun = !isJson;
  }

  onEvent(event: CacheEvent): void {
    if (this.#above && compareVersions(event.version, this.#above) <= 0) return;
    if (this.#waits(event)) return;
    this.#take(event);
  }
  onTurn(): void {
    this.#flush();
  }
  #take(event: CacheEvent): void {
    const heldBytes = event.object.stored.length;
    if (!this.#select(event, heldBytes)) return;
    this.#heldBytes += heldBytes;
    const isLate =
      ++this.#live - this.#next > watchBacklogEventsMax && this.#backlog.length - this.#next > watchBacklogEventsMax;
    if (isLate || this.#heldBytes > watchBacklogBytesMax) this.#cut();
  }
  #cut(): void {
    this.#backlog.length = 0;
    this.#next = 0;
    this.#heldBytes = 0;
    this.close();
  }

  readonly #unjudged: CacheEvent[] = [];
  #judging = false;
  /** True: a selector cannot judge it before it is converted; it and all that follow come when they are. */
  #waits(event: CacheEvent): boolean {
    if (!this.cache.served.conversion || this.selection.everything) return false;
    const needs = event.object.needsConversion || event.previous?.needsConversion === true;
    if (!this.#judging && !needs) return false;
    this.#unjudged.push(event);
    if (this.#unjudged.length > watchBacklogEventsMax) this.#cut();
    else if (!this.#judging) void this.#judge();
    return true;
  }
  async #judge(): Promise<void> {
    this.#judging = true;
    try {
      while (this.#unjudged.length > 0 && !this.#closing) {
        const events = this.#unjudged.splice(0);
        await CachedObject.convert(
          events.flatMap(({ object, previous }) => (previous ? [object, previous] : [object])),
        );
        for (const event of events) this.#take(event);
        this.#flush();
      }
    } catch (error) {
      this.fail(statusOf(error));
    } finally {
      this.#judging = false;
    }
  }
  onBookmark(version: ResourceVersion): void {
    if (!this.bookmarks || this.#closing || this.#judging) return; // it would overtake what waits
    this.#bookmark(version);
    this.#flush();
  }
  onLost(): void {
    this.fail({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'too old resource version: the history of this resource was lost',
      reason: 'Expired',
      code: 410,
    });
  }
  fail(status: Status): void {
    this.#backlog.push({ type: 'ERROR', value: status });
    this.close();
  }
  /** Ends after what is already queued. */
  close(): void {
    this.cache.sinks.delete(this);
    this.#closing = true;
    this.dueMs = Number.POSITIVE_INFINITY;
    this.#flush();
  }

  /** A change as this selection sees it: entering is ADDED, leaving is DELETED with the last state it saw. */
  #select(event: CacheEvent, heldBytes = 0): boolean {
    const now = event.type !== 'DELETED' && this.selection.matches(event.object);
    const before = event.previous !== undefined && this.selection.matches(event.previous);
    if (!now && !before) return false;
    if (now) this.#backlog.push({ type: before ? 'MODIFIED' : 'ADDED', object: event.object, heldBytes });
    else
      this.#backlog.push({
        type: 'DELETED',
        object: event.type === 'DELETED' ? event.object : event.previous!.at(event.version),
        heldBytes,
      });
    return true;
  }

  #bookmark(version: ResourceVersion, annotations?: Record<string, string>): void {
    const metadata = { resourceVersion: version, ...(annotations ? { annotations } : {}) };
    this.#backlog.push({ type: 'BOOKMARK', value: bookmarkOf(this.view, this.cache.served, metadata) });
  }
  #isLengthBegun = false;
  #converting = false;

  /** True: objects of another version are on their way, and the stream goes on when they are there. */
  #isConverting(): boolean {
    if (this.#converting) return true;
    const waiting = this.#backlog.slice(this.#next).flatMap(({ object }) => (object?.needsConversion ? [object] : []));
    if (waiting.length === 0) return false;
    this.#converting = true;
    const goOn = () => {
      this.#converting = false;
      this.#flush();
    };
    CachedObject.convert(waiting).then(goOn, (error: unknown) => {
      this.#backlog = [];
      this.#next = 0;
      this.#converting = false;
      this.fail(statusOf(error));
    });
    return true;
  }

  #flush(): void {
    if (this.#closed) return;
    while (this.#next < this.#backlog.length && (this.#controller.desiredSize ?? 0) > 0) {
      if (this.cache.served.conversion && this.#isConverting()) return;
      const parts: Uint8Array[] = [];
      const first = this.#next;
      let size = 0;
      while (this.#next < this.#backlog.length && size < chunkBytes) {
        const item = this.#backlog[this.#next++]!;
        this.#heldBytes -= item.heldBytes ?? 0;
        const frame = this.#frame(item);
        parts.push(...frame);
        for (const part of frame) size += part.length;
      }
      const { group, plural, version } = this.cache.served.kind;
      this.metrics?.watchEvents([group, plural, version], this.#next - first);
      const chunk = this.cache.join(parts, size);
      this.#controller.enqueue(this.#isLengthBegun ? chunk.subarray(1) : chunk);
      this.#isLengthBegun = false;
    }
    if (this.#next === this.#backlog.length) {
      this.#backlog = [];
      this.#next = 0;
      this.#live = 0;
      if (this.#closing) this.#end(true);
    }
  }

  #frame(item: Item): Uint8Array[] {
    if (item.object && isPlain(this.view)) return [eventHeads[item.type], item.object.bytes, newline];
    const { format, as } = this.view.wanted;
    if (item.object && format === 'protobuf' && as === 'object')
      return [watchFrame(item.type, this.view.encodings.object(item.object))];
    let value = item.value;
    if (item.object) {
      value = viewObject(this.view, item.object, !this.#columnsSent);
      this.#columnsSent = true;
    }
    const { wanted, encodings } = this.view;
    if (wanted.format === 'protobuf') {
      const bytes = encodings.value(value);
      if (bytes) return [watchFrame(item.type, bytes)];
    }
    return [encoder.encode(`${JSON.stringify({ type: item.type, object: value })}\n`)];
  }

  #end(close = false): void {
    if (this.#closed) return;
    this.#closed = true;
    this.cache.sinks.delete(this);
    if (close) this.#controller.close();
    this.#onEnd?.();
    this.#onEnd = undefined;
  }
}

/** A version and nothing else, in the form the client asked for. */
export function bookmarkOf(
  { wanted }: View,
  { kind }: ServedKind,
  metadata: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const partial = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
  if (wanted.as === 'object') return { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata };
  if (wanted.as !== 'Table') return partial;
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${wanted.version}`,
    metadata: { resourceVersion: metadata['resourceVersion'] },
    columnDefinitions: null,
    rows: [{ cells: [], object: partial }],
  };
}

const eventHeads = Object.fromEntries(
  (['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR'] as const).map((type) => [
    type,
    encoder.encode(`{"type":"${type}","object":`),
  ]),
) as Record<Item['type'], Uint8Array>;
