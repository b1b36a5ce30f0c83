import { type Node, nodeKind } from '#api';
import { type Log, messageOf } from '#base';
import type { Client } from '#client';
import type { Reader } from '../../apiserver/contract.ts';

const controlPlane = 'node-role.kubernetes.io/control-plane';
/** The server's own node runs only what asks for that, unless it was told otherwise. */
export const controlPlaneTaint = { key: controlPlane, effect: 'NoSchedule' } as const;

/** Says of the server's own node what it is. The API server does, because no node may give itself a role. */
export function keepControlPlaneLabel(nodeName: string, reader: Reader, client: Client, log: Log): void {
  let writing = false;
  const see = (node: Readonly<Node> | undefined): void => {
    const lacks = node?.metadata?.name === nodeName && node.metadata.labels?.[controlPlane] === undefined;
    if (!lacks || writing) return;
    writing = true;
    client
      .patch(nodeKind, { name: nodeName }, { type: 'merge', body: { metadata: { labels: { [controlPlane]: '' } } } })
      .catch((error: unknown) => log.warn('the role of the own node was not noted', { error: messageOf(error) }))
      .finally(() => (writing = false)); // a failure: its next status brings us back
  };
  reader.onChange?.(nodeKind, see);
}
