import { isReason, type KubeObject, type Node, nodeKind, type ReconcileContext, timeText } from '#sdk';

type NodeObject = Readonly<Node & KubeObject>;
export interface NetworkState {
  /** `True`: pods cannot reach those of other hosts; the node is tainted for it. */
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

export const networkCondition = (node: NodeObject) =>
  node.status?.conditions?.find(({ type }) => type === 'NetworkUnavailable');

/** The Node's condition NetworkUnavailable, as overlays of other platforms say it, and an event where it is bad news. */
export async function tellNode(
  node: NodeObject,
  state: NetworkState,
  { client, clock, events }: Pick<ReconcileContext, 'client' | 'clock' | 'events'>,
): Promise<void> {
  const former = networkCondition(node);
  if (former?.status === state.status && former.reason === state.reason && former.message === state.message) return;
  const now = timeText(clock.now());
  const lastTransitionTime = former?.status === state.status ? (former.lastTransitionTime ?? now) : now;
  const condition = { type: 'NetworkUnavailable', ...state, lastHeartbeatTime: now, lastTransitionTime };
  const body = { status: { conditions: [condition] } };
  try {
    await client.patch(nodeKind, { name: node.metadata.name! }, { type: 'strategic', body }, { subresource: 'status' });
  } catch (error) {
    if (isReason(error, 'NotFound')) return;
    throw error;
  }
  if (state.status === 'True') events.event(node as NodeObject & KubeObject, 'Warning', state.reason, state.message);
}
