import { apiVersionOf, compareVersions, errors, facts, isReason, type ResourceVersion, StatusError } from '#api';
import { bytesAnswer } from '../answer.ts';
import { CachedObject, headOf } from '../cached-object.ts';
import { type ContinueToken, decodeContinue, encodeContinue } from '../continue-token.ts';
import type { AnyKind } from '../contract.ts';
import { type Call, unreadableError } from '../core.ts';
import { warm } from '../heavy/warm.ts';
import { checkedVersion, listOptionsOf } from '../list-options.ts';
import { protobufType } from '../negotiate.ts';
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
    const body = bodyOf(call, selection, listing, 'protobuf', () =>
      call.core.encodings.list(call.served.kind, metadata, listing.objects),
    );
    return bytesAnswer(call.request, body.bytes, { type: protobufType, compressed: body.compressed });
  }
  if (!isPlain(view)) return valueAnswer(call, viewList(view, call.served, listing.objects, metadata));
  const body = bodyOf(call, selection, listing, 'json', () => joinItems(call, metadata, listing.objects));
  return bytesAnswer(call.request, body.bytes, { compressed: body.compressed });
}

/** Kept when it is the whole of a collection as it is now: everybody who starts asks for just that. */
function bodyOf(
  call: Call,
  selection: Selection,
  listing: Listing,
  form: string,
  make: () => Uint8Array,
): { readonly bytes: Uint8Array; readonly compressed?: () => Promise<Uint8Array> } {
  const whole = selection.everything && listing.after === undefined && listing.objects.length >= keptFromObjects;
  const { query } = call.info;
  if (!whole || query.get('continue') || query.get('resourceVersionMatch') === 'Exact') return { bytes: make() };
  const key = `${form} ${apiVersionOf(call.served.kind)} ${call.resources.prefix}${selection.namespace}`;
  return call.core.listBodies.get(key, listing.version, make);
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

function joinItems(call: Call, metadata: object, objects: readonly CachedObject[]): Uint8Array {
  const { kind } = call.served;
  const head = Buffer.from(
    `{"kind":${JSON.stringify(`${kind.kind}List`)},"apiVersion":${JSON.stringify(apiVersionOf(kind))},"metadata":${JSON.stringify(metadata)},"items":[`,
  );
  // Upstream's items of built-in kinds do not repeat what the list says of all of them: the head of each is left out.
  const skip = headBytes(kind);
  const size = objects.reduce((sum, object) => sum + object.bytes.length + 1, head.length + 2);
  const out = Buffer.allocUnsafe(size);
  let at = head.copy(out);
  for (const [index, object] of objects.entries()) {
    if (index > 0) out[at++] = 0x2c;
    const { bytes } = object;
    if (skip > 0 && bytes[skip] === 0x22) {
      out[at++] = 0x7b;
      Buffer.prototype.copy.call(bytes, out, at, skip); // no view of the bytes for each object
      at += bytes.length - skip;
    } else {
      out.set(bytes, at);
      at += bytes.length;
    }
  }
  out.write(']}', at);
  return out.subarray(0, at + 2);
}

/** Where `"metadata"` begins in the bytes of every object of a built-in kind; 0: items keep their type. */
const headBytes = (kind: AnyKind): number =>
  facts().types[kind.type] ? Buffer.byteLength(headOf(kind)) - '"metadata":{'.length : 0;
