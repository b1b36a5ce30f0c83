import type { Condition } from './kinds.ts';
import type { Duties } from './plan-migration.ts';

/** What keeps a host from serving its peers. */
export interface Failure {
  readonly reason: string;
  readonly message: string;
}
type State = Omit<Condition, 'lastTransitionTime'>;
const messageCharsMax = 1_024;

/** The conditions of a host's lease. Pure. */
export function readyState(duties: Duties, failures: readonly Failure[], chosen: string | undefined): State {
  const [failure] = failures;
  const type = 'Ready';
  if (failure) {
    const message = failures.map((one) => one.message).join('; ');
    return { type, status: 'False', reason: failure.reason, message: message.slice(0, messageCharsMax) };
  }
  const message = chosen ?? `peers are served by ${duties.send}`;
  return { type, status: 'True', reason: 'PeersApplied', message };
}
export function rejectedState(rejected: readonly { readonly node: string }[]): State {
  const type = 'PeersAccepted';
  const names = rejected.slice(0, 10).map(({ node }) => node);
  return rejected.length === 0
    ? { type, status: 'True', reason: 'AllServed', message: 'every host that is ready is served' }
    : { type, status: 'False', reason: 'PeersRejected', message: `not served: ${names.join(', ')}` };
}
export function hiddenState(hidden: readonly string[]): State {
  const type = 'RangesFree';
  const hint = 'pods hide these networks of the host; start the cluster with another --pod-cidr';
  return hidden.length === 0
    ? {
        type,
        status: 'True',
        reason: 'NoOverlap',
        message: 'no network of this host lies in the range of the pods',
      }
    : {
        type,
        status: 'False',
        reason: 'HostNetworkHidden',
        message: `${hidden.slice(0, 5).join(', ')}: ${hint}`,
      };
}
