import { errors, fieldErrors, invalidObject, StatusError } from '#api';
import { messageOf } from '#base';
import type { RestCall, RestEvent } from '#sdk';
import type { Call } from './core.ts';
import { listOptionsOf } from './list-options.ts';
import { restObject } from './rest-object.ts';
import { type Selection, selectionOf } from './selection.ts';
import { isWebSocket } from './streaming/upgrade.ts';
import { lifeMsOf, overSocket } from './verbs/watch.ts';
import { type View, viewObject, viewOf } from './views.ts';
import { bookmarkOf, streamType } from './watch-stream.ts';
import type { Timed } from './watch-times.ts';

const readAheadBytes = 64 * 1024;
const encoder = new TextEncoder();

/**
 * A watch of a kind that somebody else answers for. Its events are fetched as the client takes them, so that a slow one
 * costs one batch here; whoever has them ends a watch that is not read.
 */
export async function watchRest(call: Call, asked: RestCall): Promise<Response | undefined> {
  const { core, served, info } = call;
  const options = listOptionsOf(info.query, true);
  if (options.sendInitialEvents !== undefined)
    throw invalidObject('ListOptions', 'meta.k8s.io', '', [
      fieldErrors.forbidden(
        'sendInitialEvents',
        'sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled',
      ),
    ]);
  const selection = selectionOf(served, info);
  const view = viewOf(call);
  const stop = new AbortController();
  const since = { resourceVersion: options.resourceVersion, bookmarks: options.bookmarks };
  const batches = await served.restWatch!({ ...asked, ...since }, stop.signal);
  const ended = core.metrics.longRunning(info);
  const life: Timed = {
    dueMs: core.clock.monotonicMs() + lifeMsOf(options.timeoutSeconds, core.random.next()),
    onDue: () => stop.abort(),
    close: () => stop.abort(),
  };
  stop.signal.addEventListener(
    'abort',
    () => {
      core.watchTimes.remove(life);
      ended();
    },
    { once: true },
  );
  core.watchTimes.add(life);
  call.request.signal.addEventListener('abort', () => stop.abort(), { once: true });
  const stream = streamOf(call, { batches, stop, selection, view, bookmarks: options.bookmarks });
  if (isWebSocket(call.request)) return overSocket(call, stream, view);
  return new Response(stream, {
    headers: { 'content-type': streamType(view), 'cache-control': 'no-cache, private' },
  });
}

interface Read {
  readonly batches: AsyncIterable<readonly RestEvent[]>;
  readonly stop: AbortController;
  readonly selection: Selection;
  readonly view: View;
  readonly bookmarks: boolean;
}
function streamOf(call: Call, read: Read): ReadableStream<Uint8Array> {
  const { batches, stop } = read;
  const events = batches[Symbol.asyncIterator]();
  const frames = new Frames(call, read);
  const { group, plural, version } = call.served.kind;
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => controller.enqueue(encoder.encode(' ')), // the head of the answer goes out with it
      async pull(controller) {
        const close = (): void => {
          stop.abort();
          controller.close();
        };
        try {
          const next = await events.next();
          if (next.done || stop.signal.aborted) return close();
          const text = next.value.map((event) => frames.of(event)).join('');
          call.core.metrics.watchEvents([group, plural, version], next.value.length);
          controller.enqueue(encoder.encode(text || ' '));
        } catch (error) {
          const known = error instanceof StatusError ? error : errors.internal(messageOf(error));
          controller.enqueue(encoder.encode(`${JSON.stringify({ type: 'ERROR', object: known.toStatus() })}\n`));
          close();
        }
      },
      cancel: () => stop.abort(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: readAheadBytes }),
  );
}

/** Events as lines of JSON in the form the client asked for. */
class Frames {
  #columnsSent = false;
  constructor(
    private readonly call: Call,
    private readonly read: Pick<Read, 'selection' | 'view' | 'bookmarks'>,
  ) {}

  /** Empty for what this client did not ask for. Throws 500 for what is no event. */
  of({ type, object }: RestEvent): string {
    const { selection, view, bookmarks } = this.read;
    if (type === 'BOOKMARK') {
      const { resourceVersion } = restObject(this.call, object).object.metadata;
      if (!bookmarks || !resourceVersion) return '';
      return line(type, bookmarkOf(view, this.call.served, { resourceVersion }));
    }
    if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED')
      throw errors.internal(`a watch of ${this.call.served.kind.plural} had an event of type ${String(type)}`);
    const one = restObject(this.call, object);
    const matches = selection.matches(one);
    // What the client may have seen before and no longer asks for is gone for it.
    const isGone = type === 'MODIFIED' && !matches;
    if (!matches && !isGone) return '';
    const shown = viewObject(view, one, !this.#columnsSent);
    this.#columnsSent = true;
    return line(isGone ? 'DELETED' : type, shown);
  }
}
const line = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;
