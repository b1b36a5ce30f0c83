import { compareVersions, errors, isResourceVersion, type ResourceVersion } from '#api';
import type { Call } from '../core.ts';
import { isTrue } from '../request-info.ts';
import { selectionOf } from '../selection.ts';
import { viewOf } from '../views.ts';
import { tooOld } from '../watch-cache.ts';
import { WatchStream } from '../watch-stream.ts';
import { invalidVersion } from './get.ts';

const timeoutMinSeconds = 1800; // without a wish, a watch lives 30 to 60 minutes, as upstream
const bookmarkMs = 60_000;

export async function watch(call: Call): Promise<Response> {
  const { core, info, resources } = call;
  const { query } = info;
  const selection = selectionOf(call.served, info);
  const since = (query.get('resourceVersion') ?? '') as ResourceVersion | '';
  if (since && !isResourceVersion(since)) throw invalidVersion(since);
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  const wantsInitial = initialEvents(query);
  if (since && since !== '0') await core.cache.waitFor(since);
  const stream = new WatchStream(resources, selection, viewOf(call.wanted, query, call.nowMs), bookmarks);
  // From here to begin() nothing is awaited: state, history and subscription are of one moment.
  if (wantsInitial ?? (!since || since === '0')) {
    const at = newestOf(core.cache.reached, resources.lastChange);
    stream.begin(resources.list(selection), [], wantsInitial && bookmarks ? at : undefined);
  } else {
    const history = since && since !== '0' ? resources.since(since) : [];
    if (!history) {
      const status = tooOld(since, resources.oldest).toStatus();
      return new Response(`${JSON.stringify({ type: 'ERROR', object: status })}\n`, { headers: streamHeaders });
    }
    stream.begin([], history);
  }
  const asked = Number(query.get('timeoutSeconds') ?? 0);
  const seconds = asked > 0 ? asked : timeoutMinSeconds * (1 + core.random.next());
  void limit(call, stream, seconds * 1000);
  return new Response(stream.stream, { headers: streamHeaders });
}

const streamHeaders = { 'content-type': 'application/json', 'cache-control': 'no-cache, private' };
const newestOf = (a: ResourceVersion, b: ResourceVersion) => (compareVersions(a, b) > 0 ? a : b);

/** True or false as asked; undefined when the query does not say. */
function initialEvents(query: URLSearchParams): boolean | undefined {
  const text = query.get('sendInitialEvents');
  const match = query.get('resourceVersionMatch');
  if (text === null) {
    if (match)
      throw errors.badRequest(
        'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
      );
    return undefined;
  }
  if (match !== 'NotOlderThan') {
    throw errors.badRequest(
      'resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
    );
  }
  return isTrue(text);
}

/** Ends the watch at its time, when the client leaves and when the server stops; sends bookmarks on the way. */
async function limit(call: Call, stream: WatchStream, timeoutMs: number): Promise<void> {
  const { clock, cache, signal } = call.core;
  const stop = new AbortController();
  const halt = () => stop.abort();
  void stream.ended.then(halt);
  call.request.signal.addEventListener('abort', halt, { once: true });
  signal.addEventListener('abort', halt, { once: true });
  const end = clock.monotonicMs() + timeoutMs;
  while (!stop.signal.aborted) {
    const left = end - clock.monotonicMs();
    if (left <= 0) break;
    const early = left > 2_500 ? left - 2_000 : left; // the last bookmark goes out just before the end
    await clock.sleep(stream.bookmarks ? Math.min(bookmarkMs, early) : left, stop.signal);
    if (!stop.signal.aborted) stream.onBookmark(newestOf(cache.reached, call.resources.lastChange));
  }
  signal.removeEventListener('abort', halt);
  call.request.signal.removeEventListener('abort', halt);
  stream.close();
}
