import type { ContainerRuntime } from '../runtime.ts';
import type { UserInfo } from '../strategy.ts';
import type { ResourceObject, View } from './resources.ts';
import type { RestKind } from './rest.ts';
import type { AnySchema, JsonSchema } from './schema.ts';

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

type Answered<T> = T | Promise<T>;

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

/** The whole set of peers, each time; idempotent. Running pods keep their network when it stops. */
export interface NetworkBackend {
  readonly name: string;
  prepare(node: { readonly name: string; readonly subnet: string }): Promise<void>;
  sync(peers: readonly { readonly name: string; readonly subnet: string; readonly data: unknown }[]): Promise<void>;
}
/** The whole table, atomically; its rules stay when it stops. */
export interface ProxyBackend {
  readonly name: string;
  apply(table: readonly unknown[], generation: number): Promise<void>;
}
export interface RuntimeBackend {
  /** Of the RuntimeClass that selects it. */
  readonly name: string;
  open(): Promise<ContainerRuntime>;
}
/** Every verb is idempotent; nothing is unmounted when it stops. */
export interface VolumeDriver {
  readonly name: string;
  stage(volume: { readonly id: string; readonly attributes: Readonly<Record<string, string>> }): Promise<void>;
  publish(volumeId: string, podUid: string, readOnly: boolean): Promise<{ readonly hostPath: string }>;
  unpublish(volumeId: string, podUid: string): Promise<void>;
  list(): Promise<readonly string[]>;
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
  network(backend: NetworkBackend): void;
  proxy(backend: ProxyBackend): void;
  runtime(backend: RuntimeBackend): void;
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
  readonly networks: readonly NetworkBackend[];
  readonly proxies: readonly ProxyBackend[];
  readonly runtimes: readonly RuntimeBackend[];
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
