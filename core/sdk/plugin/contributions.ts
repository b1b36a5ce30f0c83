import type { Lease, LocalHost } from '#net/backend';
import type { Route, RouteTable } from '#net/service-proxy';
import type { LinkFacts, NetworkWork } from '#net/wanted/list';
import type { ContainerRuntime } from '../runtime.ts';
import type { UserInfo } from '../strategy.ts';
import type { ResourceObject, View } from './resources.ts';
import type { RestKind } from './rest.ts';
import type { AnySchema, JsonSchema } from './schema.ts';

type Answered<T> = T | Promise<T>;

/** What a plugin may add beside kinds, controllers and admission. Each is registered in setup() and declared by its manifest. */

type PodView = View<ResourceObject<'pods'>>;
type NodeView = View<ResourceObject<'nodes'>>;

/** Asked once for each pod with all nodes that the platform's own rules leave; within 20 ms, else it has no say. */
export interface ScheduleRule {
  readonly name: string;
  /** Of its scores; default 1. */
  readonly weight?: number;
  /** true or the reason of a refusal, for each node in their order. */
  filter?(pod: PodView, nodes: readonly NodeView[]): readonly (true | string)[] | Promise<readonly (true | string)[]>;
  /** 0 to 100 for each node, in their order. */
  score?(pod: PodView, nodes: readonly NodeView[]): readonly number[] | Promise<readonly number[]>;
  /** The last word before the pod is bound: true, or why not now; it is tried again then. */
  permit?(pod: PodView, node: string): true | string | Promise<true | string>;
}

/** Who has this token; undefined: not one of ours. Names and groups that begin with `system:` are refused. */
export interface TokenAuthenticator {
  readonly name: string;
  authenticate(token: string): Answered<Pick<UserInfo, 'name' | 'uid' | 'groups' | 'extra'> | undefined>;
}

/** What somebody wants to do, and may by his roles. */
export interface AccessRequest {
  readonly user: UserInfo;
  /** get list watch create update patch delete deletecollection, or a verb of its own such as `impersonate`. */
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  /** Plural. */
  readonly resource: string;
  readonly subresource: string;
  /** Empty for what is of the cluster, and for lists over all namespaces. */
  readonly namespace: string;
  readonly name: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
}
/** May refuse what roles allow, and never allows. Not asked about administrators, the platform's parts and plugins. */
export interface Authorizer {
  readonly name: string;
  /** The reason of a refusal; undefined or false: it has none. */
  deny(request: AccessRequest): Answered<string | false | undefined>;
}

export interface CommandCall<Flags> {
  readonly flags: Flags;
  /** The words behind the command that are no flags. */
  readonly words: readonly string[];
  print(line: string): void;
  readonly signal: AbortSignal;
}
/** `./pintle PLUGIN COMMAND`: under the rights of the user who types it, within 30 s. */
export interface Command<Flags = Readonly<Record<string, unknown>>> {
  readonly name: string;
  readonly help: string;
  readonly flags?: AnySchema;
  run(call: CommandCall<Flags>): void | Promise<void>;
}

/** A page of the dashboard: an ES module of the bundle, shown in an iframe of its own with the user's rights. */
export interface Panel {
  readonly name: string;
  readonly title: string;
  /** Path in the bundle. */
  readonly module: string;
}

/**
 * How pods of one host reach those of the others. It only computes: what it answers is checked and applied by the node's
 * own helper, as a whole each time, so a call needs nothing of the calls before it. Its links stay when it stops.
 */
export interface NetworkContribution {
  /** As the cluster's configuration chooses it; lower-case letters, digits and hyphens. */
  readonly name: string;
  /** What it adds to each packet over an IPv4 underlay. */
  readonly overheadBytes: number;
  /** The host's own side: links and addresses. */
  prepare(local: LocalHost): Answered<NetworkWork>;
  /** What the other hosts must know of this one; `made`: its links as they came to be. Default: nothing. */
  publish?(local: LocalHost, made: readonly LinkFacts[]): Answered<NetworkFacts>;
  /** All of it, for the whole set of the other hosts. */
  sync(call: NetworkSync): Answered<NetworkAnswer>;
}
export interface NetworkFacts {
  /** An address of the underlay; default: the host's own. */
  readonly endpoint?: string;
  readonly data?: Readonly<Record<string, string>>;
}
export interface NetworkSync {
  readonly local: LocalHost;
  readonly made: readonly LinkFacts[];
  readonly peers: readonly Lease[];
  /** Another backend has the routes: be ready to receive, and send nothing. */
  readonly standby: boolean;
}
export interface NetworkAnswer {
  readonly work: NetworkWork;
  /** Peers that cannot be served; the others are. */
  readonly rejected?: readonly { readonly node: string; readonly reason: string }[];
}

/** The whole table of services, atomically; what is in force stays when it stops. */
export interface ProxyContribution {
  readonly name: string;
  /** `generation` rises with each call, also over restarts of the plugin. */
  apply(table: RouteTable, generation: number): Answered<ProxyAnswer>;
}
export interface ProxyAnswer {
  /**
   * What the node's helper is to put in force: routes of the table, each with backends that the table has for it. Absent:
   * the plugin has done it by itself, which takes the isolation level process.
   */
  readonly routes?: readonly Route[];
  readonly refused?: readonly { readonly id: string; readonly reason: string }[];
}
/** Runs the containers of pods whose RuntimeClass has this name as its handler. */
export interface RuntimeContribution {
  readonly name: string;
  /** Once for each process of the plugin. */
  open(): Answered<ContainerRuntime>;
}

/** A volume of one pod, as the pod names it. */
export interface VolumeCall {
  /** Of this volume of this pod; the same for every call about it. Letters, digits and hyphens. */
  readonly id: string;
  readonly pod: { readonly uid: string; readonly name: string; readonly namespace: string };
  /** As the pod or the PersistentVolume gives them. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Keys of the Secret that the volume names. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Of a PersistentVolume: its own name for what it is about, the same for all pods. */
  readonly handle?: string;
  readonly readOnly: boolean;
  readonly fsType?: string;
}
/** What a pod's folder is made of; the node's helper mounts it, below the pod's own volumes and nowhere else. */
export type VolumeMount =
  /** A folder of the driver: this name below `volumes` in its state folder. */
  | { readonly type: 'folder'; readonly name: string; readonly readOnly?: boolean }
  | { readonly type: 'memory'; readonly sizeBytes: number; readonly readOnly?: boolean };
/** Every verb is idempotent, and is tried again until it succeeds; nothing is unmounted when it stops. */
export interface VolumeDriver {
  /** As pods name it (`csi: { driver }`): a DNS name. */
  readonly name: string;
  /** Makes what the volume is of, before it is published. */
  stage?(volume: VolumeCall): Answered<void>;
  publish(volume: VolumeCall): Answered<VolumeMount>;
  /** It is mounted no more. `id` may be of a volume that this process never published. */
  unpublish(volume: { readonly id: string }): Answered<void>;
  /** Ids of all that it holds for pods of this node; those of pods that are gone are unpublished. */
  list(): Answered<readonly string[]>;
}

/** What setup() registers, beside admission and controllers. */
export interface ContributionCalls {
  /** Filters, scores and permits, one call for each pod with all candidate nodes. */
  schedule(rule: ScheduleRule): void;
  /** Serves a kind that is stored nowhere. */
  rest(kind: RestKind): void;
  authenticate(authenticator: TokenAuthenticator): void;
  authorize(authorizer: Authorizer): void;
  command(command: Command): void;
  panel(panel: Panel): void;
  network(backend: NetworkContribution): void;
  proxy(backend: ProxyContribution): void;
  runtime(backend: RuntimeContribution): void;
  volume(driver: VolumeDriver): void;
}
/** Lists of what was registered through them. */
export interface Registered {
  readonly scheduling: readonly ScheduleRule[];
  readonly apis: readonly RestKind[];
  readonly authenticators: readonly TokenAuthenticator[];
  readonly authorizers: readonly Authorizer[];
  readonly commands: readonly Command[];
  readonly panels: readonly Panel[];
  readonly networks: readonly NetworkContribution[];
  readonly proxies: readonly ProxyContribution[];
  readonly runtimes: readonly RuntimeContribution[];
  readonly volumes: readonly VolumeDriver[];
}

/** A command as a manifest names it. */
export interface CommandFacts {
  readonly name: string;
  readonly help: string;
  readonly flags?: JsonSchema;
}
export const commandFacts = ({ name, help, flags }: Command): CommandFacts => ({
  name,
  help,
  ...(flags ? { flags: flags.json } : {}),
});
