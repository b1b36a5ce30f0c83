import type { ContainerRuntime } from '#sdk';

/** A container as the kubelet knows it: by its pod's status, like kubectl's caller sees it. */
export type FoundContainer =
  | { readonly type: 'noPod' }
  /** The pod has no container of this name. */
  | { readonly type: 'noContainer' }
  /** It has not started (again): `reason` of the waiting state, such as ContainerCreating or ImagePullBackOff. */
  | { readonly type: 'waiting'; readonly reason?: string }
  /** `previous` was asked for and there is none. */
  | { readonly type: 'noPrevious' }
  | {
      readonly type: 'found';
      readonly podUid: string;
      /** As the runtime knows it, without a prefix such as `docker://`. */
      readonly containerId: string;
      readonly running: boolean;
      /** From the container's spec: what attach follows. */
      readonly tty: boolean;
      readonly stdin: boolean;
    };

/** What the endpoint asks of the kubelet. All of it answers from memory. */
export interface KubeletAccess {
  /**
   * Containers, init containers and ephemeral ones alike. With `previous` the run before the current one.
   * Without it: the current run, or the last one when the container waits to be restarted.
   */
  findContainer(namespace: string, pod: string, container: string, previous?: boolean): FoundContainer;
  /** Undefined: no such pod here. `running`: its sandbox is up, so that ports can be reached. */
  findPod(namespace: string, pod: string): { readonly uid: string; readonly running: boolean } | undefined;
  /** Pods that this kubelet works for, those that have ended included. */
  pods(): readonly {
    readonly uid: string;
    readonly namespace: string;
    readonly name: string;
    readonly startedAtMs?: number;
    /** Its sandbox is up. */
    readonly running: boolean;
  }[];
  readonly nodeName: string;
}

export type KubeletOperation = 'logs' | 'exec' | 'attach' | 'portForward' | 'stats';
/** What a token must have been made for; the kubelet checks the operation, never the HTTP verb. */
export interface KubeletClaim {
  readonly operation: KubeletOperation;
  /** Empty for stats. */
  readonly namespace: string;
  readonly pod: string;
  /** Absent for portForward and stats. */
  readonly container?: string;
}
/**
 * True when `token` is a valid JWT of this cluster for this node (signature, typ, aud, exp) whose claims
 * `op namespace pod container?` equal `claim`. Never throws.
 */
export type VerifyKubeletToken = (token: string, claim: KubeletClaim) => Promise<boolean>;

export type KubeletServerRuntime = Pick<ContainerRuntime, 'logs' | 'exec' | 'attach' | 'dial' | 'stats'>;
