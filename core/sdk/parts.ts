import type { FieldError, KubeObject, TypeFacts } from '#api';
import type { Clock, DuplexChild, Files, Log, MetricsPage, Random, Scope } from '#base';
import type { Client, InformerFactory } from '#client';
import type { AddressAnnouncer } from '#net/announcer';
import type { NetworkBackend } from '#net/backend';
import type { PacketFilter } from '#net/packet-filter';
import type { SourceLimit } from '#net/source-limit';
import type { Plugin } from './plugin/plugin.ts';
import type { ControllerSpec } from './reconciler.ts';
import type { AdmissionHook, CallWebhook, KindRegistry, PartObjects, Reader, SchemaEngine } from './serving.ts';
import type { StrategyKit } from './strategy-kit.ts';

/**
 * The parts of a plugin of the distribution. Each is the default export of a module of the plugin's folder, and runs in
 * the process of the component it extends. Whatever a part makes is undone through its scope, after half a start too.
 */
export interface PartContext {
  /** Acts as the component that this part extends. */
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Closed when the part stops or its start fails: steps run in reverse, `signal` aborts first. */
  readonly scope: Scope;
}

/** `api.ts`, in each API server, before it listens. */
export interface ApiPart {
  readonly name: string;
  /** Resolves when what it adds is served. */
  start(context: ApiPartContext): void | Promise<void>;
}
export interface ApiPartContext extends PartContext {
  /** Kinds that the part adds and does not remove itself are removed with it. */
  readonly kinds: KindRegistry;
  readonly reader: Reader;
  readonly objects: PartObjects;
  /** What holds for the metadata of every object. */
  checkMetadata(object: Readonly<KubeObject>, current?: Readonly<KubeObject>): FieldError[];
  /** Of the scope. */
  readonly signal: AbortSignal;
  /** Types of custom kinds: `kind.type` → fields. */
  readonly schema: SchemaEngine & {
    define(id: string, type: TypeFacts): void;
    /** Types of Kubernetes' own groups, which patches, server-side apply and OpenAPI are to know as well as the core's. */
    addTypes(types: Readonly<Record<string, TypeFacts>>): void;
  };
  /** What the built-in kinds' strategies are made of. */
  readonly kit: StrategyKit;
  /** What the cluster was made with. Absent in tests that need none of it. */
  readonly cluster?: {
    /** Pod addresses (CIDR), one for each family. */
    readonly podRanges: readonly string[];
    /** A certificate (PEM) that an authority of no other use signed, for ten years, and its key. Takes some milliseconds. */
    selfSigned?(commonName: string): Promise<{ readonly cert: string; readonly key: string }>;
  };
  /** Conversion and admission by others. Absent where the server cannot reach services. */
  readonly callWebhook?: CallWebhook;
  /** Behind the built-in hooks, in the order of the calls; withdrawn with the part. */
  admit(hook: AdmissionHook): void;
  /** Answers GET of a path outside resources, such as `/metrics/state`, for those who may read it; withdrawn with the part. */
  serve(path: string, answer: () => Response | Promise<Response>): void;
}

/** `plugin.ts`, in the controllers process: either written with plugin(), or core-style controllers. */
export type ControllersPart = Plugin | ControllerSpecs;
export interface ControllerSpecs {
  readonly controllers: readonly ControllerSpec<never>[];
}
export const isPlugin = (part: ControllersPart): part is Plugin => 'setup' in part;

/** The network backends of this node: the platform's own, and those of installed plugins, which come and go. */
export interface NetworkBackends {
  names(): readonly string[];
  /** The same object as long as it is there; after an upgrade of its plugin as well. */
  get(name: string): NetworkBackend | undefined;
  /** One came, went, or answers again: `prepare` and `sync` are due. */
  onChange(handler: () => void): Disposable;
}

/** An address that a link of this host has, with its prefix. */
export interface HostAddress {
  readonly link: string;
  /** `192.0.2.7/24` */
  readonly cidr: string;
  readonly mtuBytes: number;
}

/** `node.ts`, in each node process. */
export interface NodePart {
  start(context: NodePartContext): void | Promise<void>;
}
/**
 * Asked with each pod of this host that has been given its addresses, before anything of it runs. A rejection is why the
 * pod does not start yet; it is asked again later. Bounded by the caller.
 */
export type PodGate = (
  pod: { readonly uid: string; readonly namespace: string; readonly name: string; readonly ips: readonly string[] },
  signal: AbortSignal,
) => Promise<void>;
/** A way to another host, and what is known of it already, in bytes of a whole packet. */
export interface MeasuredWay {
  readonly address: string;
  /** The MTU of the own device that leads there. */
  readonly linkMtuBytes: number;
  readonly knownBytes?: number;
}
export interface NodePartContext extends PartContext {
  /** Shared with the service proxy, with its rights: services, endpoint slices and nodes are held once. */
  readonly informers: InformerFactory;
  readonly nodeName: string;
  /** Metrics of the node process, read at the node's /metrics. */
  readonly page: MetricsPage;
  readonly network: {
    /** An address of this host for its pods. It may come into being later than the part. */
    readonly ip: string;
    /** Pod addresses of the cluster (CIDR). */
    readonly podRanges: readonly string[];
    /** Pod addresses of this host (CIDR), one for each family. With one host those of the cluster. */
    readonly subnets: readonly string[];
    /** Of the plugin that connects the hosts: why it does not now, or undefined when it does. New pods wait meanwhile. */
    report(notReady: string | undefined): void;
    /** The largest packet (bytes) of pods, those that run included. */
    setMtu(mtuBytes: number): Promise<void>;
    /** Every address of this host now. */
    ownAddresses(): readonly string[];
    /** For one part, which does not dispose of it. Absent where pods have no addresses of their own. */
    readonly filter?: PacketFilter;
    /** For one part. Absent where the host cannot take addresses: without root, or where pods have none of their own. */
    readonly announcer?: AddressAnnouncer;
    /** For one part: what pods may send to a server of this host, each of them. Absent without nftables. */
    readonly podLimit?: SourceLimit;
  };
  readonly pods: {
    /** Until it is disposed of, every pod that comes passes this gate. Several gates are passed at the same time. */
    gate(gate: PodGate): Disposable;
  };
  readonly backends: NetworkBackends;
  /** Where this host stands among the others. Absent where there are none. */
  readonly underlay?: {
    /** By which this host was made known to the cluster. */
    readonly nodeIp: string;
    /** The addresses of the host now, read from the machine. */
    links(): Promise<readonly HostAddress[]>;
    /**
     * The largest packet (bytes) that the way to each of these addresses takes; those that do not answer are left out.
     * Throws where this process may not send echo messages. Takes up to a few seconds.
     */
    measureWays?(ways: readonly MeasuredWay[]): Promise<ReadonlyMap<string, number>>;
  };
  /** The machine, for parts that run programs of others. */
  readonly machine: {
    readonly files: Files;
    readonly spawn: (argv: readonly string[], options?: { readonly cwd?: string }) => DuplexChild;
    /** With the machine's own programs, else on the PATH of who started the cluster. */
    findProgram(name: string): string | undefined;
  };
  /** A folder for this part's files; the part makes it. */
  readonly folder: string;
  /** For programs of others that speak to the API themselves, with the informers' rights. */
  readonly api: { readonly url: string; readonly caFile: string; readonly tokenFile: string };
}
