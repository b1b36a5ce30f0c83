import { compareVersions, errors, isResourceVersion, type ResourceVersion, StatusError } from '#api';
import { CachedObject } from '../cached-object.ts';
import type { Call } from '../core.ts';
import { listOptionsOf, versionMistake } from '../list-options.ts';
import { selectionOf } from '../selection.ts';
import { isWebSocket } from '../streaming/upgrade.ts';
import { type View, viewOf } from '../views.ts';
import { tooOld } from '../watch-cache.ts';
import { WatchSocket } from '../watch-socket.ts';
import { streamType, WatchStream } from '../watch-stream.ts';

const timeoutMinSeconds = 1800; // without a wish, a watch lives 30 to 60 minutes, as upstream
/** How long a watch lives that wishes so many seconds; 0: none. */
export const lifeMsOf = (timeoutSeconds: number, chance: number): number =>
  1_000 * (timeoutSeconds > 0 ? timeoutSeconds : timeoutMinSeconds * (1 + chance));

export async function watch(call: Call): Promise<Response | undefined> {
  const { core, info, resources } = call;
  const selection = selectionOf(call.served, info);
  const options = listOptionsOf(info.query, true);
  const since = options.resourceVersion.replace(/^0+(?=\d)/, '') as ResourceVersion | '';
  // Upstream looks at the version only when the stream begins, and then calls it an error of its own.
  if (since && !isResourceVersion(since)) throw new StatusError(500, '', versionMistake(options.resourceVersion));
  const wantsInitial = options.sendInitialEvents;
  if (wantsInitial && since && since !== '0') await core.cache.waitFor(since);
  const view = viewOf(call);
  let waiting = resources.unconverted(selection);
  for (; waiting.length > 0; waiting = resources.unconverted(selection)) await CachedObject.convert(waiting);
  const stream = new WatchStream(resources, selection, view, options.bookmarks, core.metrics);
  // From here to begin() nothing is awaited: state, history and subscription are of one moment.
  const reached = newestOf(core.cache.reached, resources.lastChange);
  if (wantsInitial ?? (!since || since === '0')) {
    stream.begin(resources.list(selection), [], {
      initialEndAt: wantsInitial && options.bookmarks ? reached : undefined,
    });
  } else if (since && compareVersions(since, reached) > 0) {
    stream.begin([], [], { above: since, at: since }); // a version of the future: silence until it has come
  } else {
    const history = since && since !== '0' ? resources.since(since) : [];
    if (history) stream.begin([], history, { at: reached });
    else stream.fail(tooOld(since, resources.oldest).toStatus());
  }
  keep(call, stream, lifeMsOf(options.timeoutSeconds, core.random.next()), core.metrics.longRunning(info));
  if (isWebSocket(call.request)) return overSocket(call, stream.stream, view);
  return new Response(stream.stream, {
    headers: { 'content-type': streamType(view), 'cache-control': 'no-cache, private' },
  });
}

const newestOf = (a: ResourceVersion, b: ResourceVersion) => (compareVersions(a, b) > 0 ? a : b);

export function overSocket(call: Call, stream: ReadableStream<Uint8Array>, view: View): undefined {
  const session = new WatchSocket(stream, view.wanted.format === 'protobuf');
  if (call.upgrade?.(session)) return undefined;
  session.close();
  throw errors.badRequest('this connection cannot be upgraded to a WebSocket');
}

/** Ends the watch at its time, when the client leaves and when the server stops. Little is held of the request meanwhile. */
function keep({ core, resources, request }: Call, stream: WatchStream, lifeMs: number, onEnd: () => void): void {
  const newest = () => newestOf(core.cache.reached, resources.lastChange);
  const isOn = stream.live(core.clock.monotonicMs(), lifeMs, newest, () => {
    core.watchTimes.remove(stream);
    onEnd();
  });
  if (!isOn) return;
  core.watchTimes.add(stream);
  // A connection that closes cancels the stream too; a caller in this process has only its signal.
  request.signal.addEventListener('abort', () => stream.close(), { once: true });
}
