import type { Field, PolicyRule, RoleRef } from '#api';
import type { Clock, Log, Random, Tracer } from '#base';
import type {
  AdmissionHook,
  AnyStrategy,
  CallWebhook,
  JsonObject,
  KindRegistry,
  Reader,
  RequestInfo,
  SchemaEngine,
  ServedKind,
  UserInfo,
} from '#sdk';
import type { Store } from '../store/store.ts';
import type { SealingStatus } from './sealing/resealing.ts';
import type { RootKeys } from './sealing/root-keys.ts';

export type {
  Admission,
  AdmissionHook,
  AdmissionRequest,
  AnyKind,
  AnyObject,
  AnyStrategy,
  Json,
  JsonObject,
  KindRegistry,
  Reader,
  RequestInfo,
  SchemaEngine,
  ServedKind,
} from '#sdk';

/** What the parts of the apiserver ask of each other. Only types; every part has its own folder. What plugins see too is in the SDK. */

export interface Authenticator {
  /** Undefined: no or unknown credentials. Throws StatusError for credentials that are wrong (401). */
  authenticate(request: Request): Promise<UserInfo | undefined> | UserInfo | undefined;
}
export interface Attributes {
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly path: string;
  readonly isResource: boolean;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
}
export interface Authorizer {
  authorize(user: UserInfo, attributes: Attributes): Decision | Promise<Decision>;
  /** For expressions, which cannot wait: what is known at once. Absent: `authorize` does not wait. */
  authorizeNow?(user: UserInfo, attributes: Attributes): Decision;
  /** Called once by the server, before the first request. */
  bind?(reader: Reader): void;
  /** What a user may do in a namespace, for SelfSubjectRulesReview and for the rule that nobody grants what he has not. */
  rulesFor?(user: UserInfo, namespace: string): HeldRules;
  /** The rules of a role that a binding names; undefined when there is no such role. */
  rulesOf?(reference: Readonly<RoleRef>, namespace: string): readonly PolicyRule[] | undefined;
}
export interface HeldRules {
  readonly rules: readonly PolicyRule[];
  /** More may be allowed than the rules say. */
  readonly incomplete: boolean;
  readonly error?: string;
}
export interface Decision {
  readonly allowed: boolean;
  /** Somebody said no, whatever others say; without it nobody said yes. */
  readonly denied?: boolean;
  readonly reason?: string;
}

/** core/apiserver/patch implements this. Every function returns a new document and leaves its arguments alone; throws StatusError. */
export interface Patches {
  applyJsonPatch(document: JsonObject, operations: unknown): JsonObject;
  applyMergePatch(document: JsonObject, patch: JsonObject): JsonObject;
  applyStrategicPatch(typeId: string, document: JsonObject, patch: JsonObject): JsonObject;
  /** `live` undefined: creation by apply. The result carries new metadata.managedFields. */
  serverSideApply(
    /** A built-in type's id, or how a custom one is owned. */
    type: string | Field,
    live: JsonObject | undefined,
    config: JsonObject,
    options: {
      readonly manager: string;
      readonly force: boolean;
      readonly subresource?: string;
      readonly nowMs: number;
    },
  ): JsonObject;
  /** After a create, update or patch that is no apply: sets `next.metadata.managedFields`, in place. */
  trackUpdate(
    /** A built-in type's id, or how a custom one is owned. */
    type: string | Field,
    live: JsonObject | undefined,
    next: JsonObject,
    options: { readonly manager: string; readonly subresource?: string; readonly nowMs: number },
  ): void;
  /** The same in steps, with others' turns between them: of an object of 60,000 values it takes long. Nothing is set before the last. */
  trackUpdateInSteps(...tracked: Parameters<Patches['trackUpdate']>): Generator<undefined, void>;
}

/** Documents as JSON text in small pieces, so that making one never holds up other requests for long. */
export interface OpenApi {
  /** `group` is empty for core. */
  openApiV3(group: string, version: string, kinds: readonly ServedKind[]): Iterable<string>;
  openApiV2(kinds: readonly ServedKind[]): Iterable<string>;
}

/** What a WebSocket of a stream handler does; `socket` is Bun's ServerWebSocket in essence. */
export interface StreamSocket {
  /** Bytes still unsent afterwards tell back-pressure: 0 dropped, -1 queued, else bytes sent (Bun's convention). */
  send(data: string | Uint8Array): number;
  close(code?: number, reason?: string): void;
  getBufferedAmount(): number;
}
export interface StreamSession {
  open(socket: StreamSocket): void;
  /** Binary messages arrive as Uint8Array, text as string. */
  message(socket: StreamSocket, data: string | Uint8Array): void;
  drain?(socket: StreamSocket): void;
  close(socket: StreamSocket, code: number, reason: string): void;
}
export interface StreamContext {
  readonly user: UserInfo;
  readonly reader: Reader;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /**
   * Turns the request into a WebSocket. `headers` go into the 101 answer (Sec-WebSocket-Protocol).
   * False: this request did not come over a socket that can be upgraded; answer with a Status then.
   */
  upgrade(session: StreamSession, headers?: Record<string, string>): boolean;
}
/** Undefined after a successful upgrade. Throws StatusError. */
export type StreamHandler = (
  request: Request,
  info: RequestInfo,
  context: StreamContext,
) => Promise<Response | undefined>;
/** Keys are `resource/subresource` of the core group: `pods/log pods/exec pods/attach pods/portforward pods/proxy services/proxy nodes/proxy`. */
export type StreamHandlers = Readonly<Record<string, StreamHandler>>;

/** A path of the API server that is no resource. Undefined after a successful upgrade; throws StatusError. */
export type ExtraPath = (
  request: Request,
  context: Pick<StreamContext, 'user' | 'upgrade'>,
) => Promise<Response | undefined> | Response | undefined;

/** serviceaccounts/token and the review APIs; core/apiserver/auth implements it. */
export interface TokenIssuer {
  /** TokenRequest: spec {audiences, expirationSeconds, boundObjectRef}. Throws StatusError. */
  issue(
    serviceAccount: { readonly namespace: string; readonly name: string; readonly uid: string },
    spec: JsonObject,
  ): Promise<{ token: string; expirationTimestamp: string; audiences?: string[] }>;
  /** TokenReview status. */
  review(token: string, audiences: readonly string[] | undefined): Promise<JsonObject>;
}

/** Pure work on large answers, away from the request loop. */
export interface HeavyWork {
  /** Throws StatusError 429 when too much is waiting, 500 when it failed. */
  run(task: {
    readonly type: 'yaml' | 'protobuf';
    /** What is brought into another form. */
    readonly json: Uint8Array;
  }): Promise<Uint8Array>;
}

export interface ApiServerOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly tokens?: TokenIssuer;
  readonly streams?: StreamHandlers;
  /** Behind the built-in chain, in this order. */
  readonly admission?: readonly AdmissionHook[];
  /** Virtual addresses of services, such as 10.96.0.0/16, or one range of each family with a comma: the first's is the default. */
  readonly serviceRange: string;
  /** Both ends inclusive. Default 30000-32767. */
  readonly nodePorts?: readonly [from: number, to: number];
  /** Where pods reach this apiserver; feeds the endpoints of the `kubernetes` service. */
  readonly advertise?: {
    readonly ip: string;
    readonly port: number;
    /** Where hosts outside reach it, such as https://10.0.0.1:6443. Told to those who ask any API server of the store. */
    readonly urls?: readonly string[];
    /** Of the `kubernetes` service. Default 443, which needs a proxy that may serve ports below 1024. */
    readonly servicePort?: number;
  };
  /** How long pods stay on a node that went away, unless they say otherwise. Default 300, as upstream. */
  readonly tolerationSeconds?: number;
  /** Paths answered outside resources, such as /openid/v1/jwks: exact path → handler. Authorised like every path. */
  readonly extraPaths?: ReadonlyMap<string, ExtraPath>;
  /** How often old history is forgotten; one to two intervals of it are kept. Default 5 min, 0 never. */
  readonly compactionIntervalMs?: number;
  readonly schema?: SchemaEngine;
  readonly patches?: Patches;
  readonly strategies?: readonly AnyStrategy[];
  readonly openApi?: OpenApi;
  /** Absent: nobody asked for traces. */
  readonly tracer?: Tracer;
  /** Absent: everything is done on the loop. */
  readonly heavy?: HeavyWork;
  /**
   * How this server proves itself to aggregated ones (PEM): the client certificate, the authority that they are told to trust
   * for it, and the one of clients. Absent: aggregated servers see nobody's certificate and believe nothing.
   */
  readonly frontProxy?: {
    readonly cert: string;
    readonly key: string;
    readonly ca: string;
    readonly clientCa?: string;
  };
  /** Ranges of the cluster's own in which webhooks' endpoints may lie although they are loopback. */
  readonly webhookRanges?: readonly string[];
  /** Seals Secrets in the store, and keeps all of them sealed with the first key. Absent: they are stored as they are. */
  readonly secretKeys?: RootKeys;
  /** How far that is, after every few hundred Secrets of a pass. */
  onSealing?(status: SealingStatus): void;
}
export interface ApiServer extends AsyncDisposable {
  /** In process, with no socket; the same code as over the network. */
  fetch(request: Request): Promise<Response>;
  listen(options: {
    readonly hostname: string;
    readonly port: number;
    readonly tls: { readonly key: string; readonly cert: string };
  }): Promise<{ port: number }>;
  readonly kinds: KindRegistry;
  readonly reader: Reader;
  readonly callWebhook: CallWebhook;
}
