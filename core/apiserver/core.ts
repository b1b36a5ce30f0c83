import { errors, keyOf, type StatusError } from '#api';
import type { Clock, Log, Random } from '#base';
import type { UserInfo } from '#sdk';
import type { Store } from '../store/store.ts';
import type { Aggregator } from './aggregation/aggregator.ts';
import type { CachedObject } from './cached-object.ts';
import type {
  AdmissionHook,
  AnyKind,
  ApiServerOptions,
  Patches,
  Reader,
  RequestInfo,
  SchemaEngine,
  ServedKind,
  StreamContext,
} from './contract.ts';
import type { Kinds } from './kinds.ts';
import type { ListBodies } from './list-bodies.ts';
import type { ApiMetrics } from './metrics.ts';
import type { Wanted } from './negotiate.ts';
import type { Documents } from './openapi/documents.ts';
import type { Encodings } from './protobuf/encodings.ts';
import type { ResourceCache } from './resource-cache.ts';
import type { WatchCache } from './watch-cache.ts';
import type { WatchTimes } from './watch-times.ts';

/** What every verb works with; made once. */
export interface Core {
  readonly options: ApiServerOptions;
  readonly store: Store;
  readonly cache: WatchCache;
  readonly kinds: Kinds;
  readonly reader: Reader;
  readonly schema: SchemaEngine | undefined;
  readonly patches: Patches;
  readonly encodings: Encodings;
  readonly listBodies: ListBodies;
  readonly documents: Documents;
  readonly metrics: ApiMetrics;
  readonly watchTimes: WatchTimes;
  readonly admission: readonly AdmissionHook[];
  /** Group versions of other servers; made when all else is. */
  aggregator?: Aggregator;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Aborts when the server stops. */
  readonly signal: AbortSignal;
}

/** One authorised request for a resource. */
export interface Call {
  readonly core: Core;
  readonly request: Request;
  readonly info: RequestInfo;
  readonly user: UserInfo;
  readonly served: ServedKind;
  readonly resources: ResourceCache;
  readonly wanted: Wanted;
  readonly nowMs: number;
  readonly dryRun: boolean;
  readonly warnings: Set<string>;
  /** Absent in calls of the server to itself. */
  readonly upgrade?: StreamContext['upgrade'];
}

/** From this size on an object takes many milliseconds at every stage of its way. */
const heavyBytes = 128 * 1024;
/** Between two stages of a write: with a large object others get their turn. Undefined: go on. */
export function turn(call: Call, current?: CachedObject): Promise<void> | undefined {
  return isHeavy(call, current) ? call.core.clock.soon() : undefined;
}
export const isHeavy = ({ request }: Call, current?: CachedObject): boolean =>
  Number(request.headers.get('content-length') ?? 0) > heavyBytes || (current?.decodedBytes ?? 0) > heavyBytes;

/** `pods`, `endpointslices.discovery.k8s.io`: how messages name a resource. */
export const resourceText = (kind: AnyKind): string => (kind.group ? `${kind.plural}.${kind.group}` : kind.plural);

/** The current state; throws 404. */
export function mustGet(call: Call): CachedObject {
  const namespace = call.served.kind.namespaced ? call.info.namespace : '';
  const found = call.resources.get(namespace, call.info.name);
  if (found) return found;
  const sealed = call.resources.unreadable(namespace, call.info.name);
  if (sealed) throw unreadableError(sealed);
  throw errors.notFound(resourceText(call.served.kind), call.info.name);
}

/** What is stored of it is sealed with a key that this cluster has no more, or is damaged. It can only be deleted. */
export const unreadableError = ({ served, name, sealedWith }: CachedObject): StatusError =>
  errors.internal(
    `${resourceText(served.kind)} "${name}" cannot be opened: ${
      sealedWith ? `it is sealed with the key ${sealedWith}, which is lost, or its` : 'its'
    } stored bytes are damaged. Put the key back into pki/secrets of the home and start the API server again, or delete the object`,
  );

export const conflictOf = (kind: AnyKind, name: string): StatusError =>
  errors.conflict(
    resourceText(kind),
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );

/** Who writes, as managedFields name it: the query's fieldManager, else the user agent's first word. */
export function managerOf(call: Call): string {
  const named = call.info.query.get('fieldManager');
  if (named) return named;
  return (call.request.headers.get('user-agent') ?? '').split('/')[0]!.slice(0, 128) || 'unknown';
}

export const nameOf = (object: { metadata: object }): string => keyOf(object).name;
