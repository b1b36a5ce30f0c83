import { apiVersionOf, compareVersions, errors, isReason, type ResourceVersion, StatusError } from '#api';
import { acceptsGzip, bytesAnswer, piecesAnswer } from '../answer.ts';
import { CachedObject } from '../cached-object.ts';
import { type ContinueToken, decodeContinue, encodeContinue } from '../continue-token.ts';
import { type Call, unreadableError } from '../core.ts';
import { warm } from '../heavy/warm.ts';
import { checkedVersion, listOptionsOf } from '../list-options.ts';
import { ListPieces } from '../list-pieces.ts';
import { protobufType } from '../negotiate.ts';
import { piecesFromBytes, slices } from '../piece-stream.ts';
import { type Selection, selectionOf } from '../selection.ts';
import { isPlain, viewList, viewOf } from '../views.ts';
import { isMessage, valueAnswer } from '../write-answer.ts';

const storePageEntries = 500;
/** A lost key concerns many at once. */
const sealedShownMax = 10;
const keptFromObjects = 100; // shorter lists are made as fast as they are found
interface Listing {
  readonly objects: readonly CachedObject[];
  readonly version: string;
  readonly after?: string;
  readonly remaining?: number;
}

export async function list(call: Call): Promise<Response> {
  const selection = selectionOf(call.served, call.info);
  const listing = await listingOf(call, selection);
  if (call.served.conversion) await CachedObject.convert(listing.objects);
  for (const object of call.resources.allUnreadable(selection.namespace).slice(0, sealedShownMax))
    if (!selection.name || selection.name === object.name) call.warnings.add(unreadableError(object).message);
  const view = viewOf(call);
  const metadata = {
    resourceVersion: listing.version,
    // Upstream has no type for lists of custom objects that would leave it out.
    ...(call.served.schema && isPlain(view) ? { continue: '' } : {}),
    ...(listing.after === undefined
      ? {}
      : {
          continue: encodeContinue({
            version: listing.version as ResourceVersion,
            after: listing.after,
            rest: selection.everything ? listing.remaining : undefined,
          }),
          ...(selection.everything && listing.remaining ? { remainingItemCount: listing.remaining } : {}),
        }),
  };
  if (isMessage(view)) {
    const { encodings, options } = call.core;
    if (options.heavy) await warm(encodings, call.served.kind, listing.objects, options.heavy);
    const pieces = encodings.listPieces(call.served.kind, metadata, listing.objects);
    return bodyAnswer(call, keptKey(call, selection, listing, 'protobuf'), listing, pieces, protobufType);
  }
  if (!isPlain(view)) return valueAnswer(call, viewList(view, call.served, listing.objects, metadata));
  const pieces = new ListPieces(call.served.kind, metadata, listing.objects);
  return bodyAnswer(call, keptKey(call, selection, listing, 'json'), listing, pieces);
}

/** Named when it is the whole of a collection as it is now: everybody who starts asks for just that. */
function keptKey(call: Call, selection: Selection, listing: Listing, form: string): string | undefined {
  const whole = selection.everything && listing.after === undefined && listing.objects.length >= keptFromObjects;
  const { query } = call.info;
  if (!whole || query.get('continue') || query.get('resourceVersionMatch') === 'Exact') return undefined;
  return `${form} ${apiVersionOf(call.served.kind)} ${call.resources.prefix}${selection.namespace}`;
}

interface Body {
  readonly totalBytes: number;
  whole(): Uint8Array;
  pieces(): Iterable<Uint8Array>;
}
/** Small ones whole, from what is kept where it can be; large ones piece by piece. */
function bodyAnswer(
  call: Call,
  key: string | undefined,
  { version }: Listing,
  body: Body,
  type?: string,
): Response | Promise<Response> {
  const { clock, listBodies } = call.core;
  const kept = key === undefined ? undefined : listBodies.get(key, version, body);
  if (body.totalBytes <= piecesFromBytes)
    return bytesAnswer(call.request, kept?.bytes ?? body.whole(), { type, compressed: kept?.compressed });
  if (kept && acceptsGzip(call.request))
    return bytesAnswer(call.request, kept.bytes, { type, compressed: kept.compressed });
  const onEnd = listBodies.send();
  const pieces = kept ? slices(kept.bytes) : body.pieces();
  return piecesAnswer(call.request, pieces, { type, totalBytes: body.totalBytes, clock, onEnd });
}

async function listingOf(call: Call, selection: Selection): Promise<Listing> {
  const options = listOptionsOf(call.info.query, false);
  const token = options.continue ? decodeContinue(options.continue) : undefined;
  if (token && options.resourceVersion && options.resourceVersion !== '0')
    throw errors.badRequest('specifying resource version is not allowed when using continue');
  const asked = checkedVersion(options.resourceVersion);
  const limit = asked === '0' ? 0 : options.limit; // any state will do: upstream serves it whole, from memory
  const { cache } = call.core;
  if (asked && asked !== '0') await cache.waitFor(asked);
  // A limit makes a version exact where no match says otherwise: https://kubernetes.io/docs/reference/using-api/api-concepts
  const exact = options.match === 'Exact' || (!options.match && limit > 0 && asked !== undefined && asked !== '0');
  const at = token ? token.version : exact ? asked : undefined;
  if (at && compareVersions(at, cache.oldest) < 0) throw expiredList(token);
  // Nothing of this kind changed since then: the cache still holds exactly that state.
  if (at && compareVersions(call.resources.lastChange, at) > 0) return fromStore(call, selection, at, limit, token);
  let waiting = call.resources.unconverted(selection);
  for (; waiting.length > 0; waiting = call.resources.unconverted(selection)) await CachedObject.convert(waiting);
  const version = at ?? newest(call);
  let objects = call.resources.list(selection);
  if (token) objects = objects.filter((object) => object.key.slice(call.resources.prefix.length) > token.after);
  if (!limit || objects.length <= limit) return { objects, version };
  const page = objects.slice(0, limit);
  return {
    objects: page,
    version,
    after: page.at(-1)!.key.slice(call.resources.prefix.length),
    remaining: objects.length - limit,
  };
}

const newest = (call: Call): string => {
  const { reached } = call.core.cache;
  const { lastChange } = call.resources;
  return compareVersions(reached, lastChange) > 0 ? reached : lastChange;
};

/** A state of the past, page by page from the store's history. */
async function fromStore(
  call: Call,
  selection: Selection,
  at: ResourceVersion,
  limit: number,
  token: ContinueToken | undefined,
): Promise<Listing> {
  const { prefix } = call.resources;
  const scope = selection.namespace ? `${prefix}${selection.namespace}/` : prefix;
  const objects: CachedObject[] = [];
  let after = token ? prefix + token.after : undefined;
  try {
    for (;;) {
      const page = await call.core.store.list(scope, { limit: storePageEntries, after, at });
      const read = page.entries.map((entry) => CachedObject.of(call.served, entry));
      if (!selection.everything) await CachedObject.convert(read);
      for (const [index, entry] of page.entries.entries()) {
        const object = read[index]!;
        if (object.sealedWith !== undefined) continue;
        if (selection.matches(object)) objects.push(object);
        if (limit && objects.length === limit && (page.more || index + 1 < page.entries.length)) {
          const after = entry.key.slice(prefix.length);
          if (!selection.everything) return { objects, version: at, after };
          const rest = token?.rest;
          const remaining = rest === undefined ? await countAfter(call, scope, entry.key, at) : rest - limit;
          return { objects, version: at, after, remaining };
        }
      }
      if (!page.more) return { objects, version: at };
      after = page.entries.at(-1)!.key;
    }
  } catch (error) {
    if (isReason(error, 'Expired', 'Gone')) throw expiredList(token);
    throw error;
  }
}

/** Once for each list in pages: what follows takes the number from its token. */
async function countAfter(call: Call, scope: string, key: string, at: ResourceVersion): Promise<number> {
  let count = 0;
  for (let after: string = key; ; ) {
    const page = await call.core.store.list(scope, { limit: storePageEntries, after, at });
    count += page.entries.length;
    if (!page.more) return count;
    after = page.entries.at(-1)!.key;
  }
}

function expiredList(token: ContinueToken | undefined): StatusError {
  if (!token) return errors.expired('The resourceVersion for the provided list is too old.');
  const error = errors.expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
  );
  return new ExpiredContinue(error, encodeContinue({ version: undefined, after: token.after }));
}

/** Carries the token with which the client may go on inconsistently. */
class ExpiredContinue extends StatusError {
  constructor(
    error: StatusError,
    readonly next: string,
  ) {
    super(error.code, error.reason, error.message, error.details);
  }
  override toStatus() {
    return { ...super.toStatus(), metadata: { continue: this.next } as unknown as Record<string, never> };
  }
}
