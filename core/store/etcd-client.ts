import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { ConsecutiveBreaker, ConstantBackoff, circuitBreaker, handleWhen, noop } from 'cockatiel';
import { Etcd3 } from 'etcd3';
import { type Clock, messageOf } from '#base';

export interface EtcdAddress {
  readonly endpoints: readonly string[];
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** A write that meets no leader waits in etcd for 7 s and fails then; this long, and the next one meets the new leader. */
export const callMsMax = 2_500;
const watchBackoffMs = 250;
const hostPauseMs = 3_000;

/** A connection to each member. Calls go to any of them; one that cannot be reached is left out for three seconds. */
export function connectEtcd({ endpoints, tls }: EtcdAddress, clock: Clock): Etcd3 {
  const client = new Etcd3({
    hosts: [...endpoints],
    credentials: tls && {
      rootCertificate: Buffer.from(tls.ca),
      certChain: Buffer.from(tls.cert),
      privateKey: Buffer.from(tls.key),
    },
    grpcOptions: { 'grpc.max_receive_message_length': -1 },
    defaultCallOptions: (context) => (context.isStream ? {} : { deadline: clock.now() + callMsMax }),
    // etcd3's own breaker counts refused calls, too: one oversized answer became seconds without any.
    faultHandling: {
      host: () => (endpoints.length > 1 ? pauseUnreachable() : noop),
      global: noop,
      watchBackoff: new ConstantBackoff(watchBackoffMs).next(),
    },
  });
  if (tls) nameAddresses(client);
  return client;
}

/** The member did not answer; what etcd itself answers begins with its name. */
export const isUnreachable = (error: unknown): boolean =>
  /^(14 UNAVAILABLE|4 DEADLINE_EXCEEDED)/.test(messageOf(error)) && !messageOf(error).includes('etcdserver:');

/** The call never left this process, so that even a write may be sent again. */
export const isUnsent = (error: unknown): boolean =>
  /No connection established|circuit breaker is open|Waiting for LB pick/.test(messageOf(error));

const pauseUnreachable = () =>
  circuitBreaker(handleWhen(isUnreachable), { halfOpenAfter: hostPauseMs, breaker: new ConsecutiveBreaker(1) });

/** What of etcd3 is not in its types. */
interface Inside {
  readonly pool: {
    readonly hosts: {
      readonly host: string;
      channelOptions: Record<string, unknown>;
      readonly channelCredentials: { verifyOptions: object };
    }[];
  };
}

/**
 * grpc-js sends the host of the target as the TLS server name, and Bun refuses one that is an IP address. So members that are
 * addressed by IP get a stand-in name on the wire, and their certificate is checked against the address itself.
 */
function nameAddresses(client: Etcd3): void {
  const addresses = new Map<string, string>();
  for (const [index, host] of (client as unknown as Inside).pool.hosts.entries()) {
    const address = host.host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
    if (isIP(address) === 0) continue;
    const name = `member-${index}.etcd`;
    addresses.set(name, address);
    host.channelOptions = { ...host.channelOptions, 'grpc.ssl_target_name_override': name };
    host.channelCredentials.verifyOptions = {
      checkServerIdentity: (wanted: string, certificate: PeerCertificate) =>
        checkServerIdentity(addresses.get(wanted) ?? wanted, certificate),
    };
  }
}
