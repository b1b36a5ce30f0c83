import { PintleError } from '#base';
import type { Machine } from './doctor/machine.ts';

export interface UpOptions {
  readonly home?: string;
  readonly yes?: boolean;
  readonly port?: number;
  readonly detach?: boolean;
  readonly store?: string;
  readonly runtime?: 'auto' | 'docker' | 'process';
  readonly podCidr?: string;
  readonly serviceCidr?: string;
  /** See Config. */
  readonly cni?: string;
  readonly nodePorts?: string;
  /** Of `server`; see Config. */
  readonly role?: 'server';
  readonly advertise?: readonly string[];
  readonly schedulable?: boolean;
  readonly nodeName?: string;
  readonly nodeIp?: string;
  readonly nodeGraceSeconds?: number;
  readonly evictAfterSeconds?: number;
  readonly plugins?: Readonly<Record<string, boolean>>;
  /** As given; `none` takes it back. */
  readonly otlpEndpoint?: string;
  readonly externalIps?: 'on' | 'off';
  /** Ranges with commas; `all` takes them back. */
  readonly nodePortAddresses?: string;
}
export interface Decision {
  readonly runtime: 'docker' | 'process';
  readonly proxy: 'nftables' | 'userspace';
  readonly engine?: { readonly socket: string; readonly private: boolean };
  /** Addresses come from 127.0.0.0/8. */
  readonly loopback: boolean;
  /** What a person should know about the choice. */
  readonly notes: readonly string[];
}

/** How a cluster runs on this machine. Pure; `privateSocket` is where an engine of our own would listen. */
export function decide(machine: Machine, runtime: UpOptions['runtime'], privateSocket: string): Decision {
  if (!machine.linux)
    throw new PintleError('NOT_LINUX', 'Pintle needs Linux', 'run it in a Linux virtual machine or container');
  const named = machine.engineNamed === privateSocket; // as `lab` does, for hosts whose engine must not be the machine's
  const engine =
    machine.engine && !named
      ? { socket: machine.engine.socket, private: false }
      : machine.root && machine.dockerd && (named || !machine.serviceManager)
        ? { socket: privateSocket, private: true }
        : undefined;
  const canNetwork = machine.root && machine.ip !== undefined && machine.nsenter !== undefined;
  if (runtime === 'docker' && !(engine && canNetwork))
    throw new PintleError(
      'NO_ENGINE',
      engine
        ? 'the docker runtime needs root, ip and nsenter for the network of pods'
        : 'no container engine answers on this machine',
      engine
        ? 'run as root and see ./pintle doctor'
        : machine.dockerd
          ? 'start it: systemctl start docker'
          : 'install one (apt-get install -y docker.io), add --yes to have it done, or use --runtime process',
    );
  const nftables = machine.nft === 'works';
  if (runtime !== 'process' && engine && canNetwork)
    return {
      runtime: 'docker',
      proxy: nftables ? 'nftables' : 'userspace',
      engine,
      loopback: false,
      notes: [
        ...(engine.private && !named
          ? ['no engine runs and there is no service manager: a private Docker engine runs under the home folder']
          : []),
        ...(nftables ? [] : ['nft does not work here: services go through the userspace proxy']),
      ],
    };
  const why = runtime === 'process' ? 'as asked' : machine.root ? 'no container engine can be had' : 'not root';
  return {
    runtime: 'process',
    proxy: 'userspace',
    loopback: true,
    notes: [
      `process runtime (${why}): pods are processes of this user without isolation (docs/process-runtime.md); every pod and service has an address from 127.0.0.0/8; services go through the userspace proxy${machine.root ? '' : ', on ports above 1023'}`,
    ],
  };
}
