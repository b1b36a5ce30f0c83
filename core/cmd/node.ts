import { isReason, leaseKind, nodeKind, podKind, secretKind } from '#api';
import { PintleError } from '#base';
import type { Client } from '#client';
import { identityName, identityOf, removedNow } from '../apiserver/enrollment/identity.ts';
import { enrollmentNamespace } from '../apiserver/enrollment/join-token.ts';
import { connect } from './connect.ts';
import { openHome } from './home.ts';

/** `node remove NAME`: takes a host out of the cluster. Its key is worth nothing from now on, and it clears its side when it hears so. */
export async function node(
  verb: string,
  name: string | undefined,
  options: { home?: string; yes?: boolean },
): Promise<void> {
  if (verb !== 'remove' || !name)
    throw new PintleError('BAD_ARGUMENTS', `node ${verb} needs a name`, './pintle node remove NAME');
  const home = openHome(options.home);
  const config = home.read();
  if (config.role !== 'server')
    throw new PintleError('NO_SERVER', 'nodes are removed where the server is', 'run this on the server');
  if (name === config.nodeName)
    throw new PintleError(
      'NODE_IS_SERVER',
      `${name} is the server's own node`,
      'remove the whole cluster with ./pintle down --purge, or keep its node free with kubectl cordon',
    );
  const client = connect(home, config, 'admin');
  const pods = await podsOn(client, name);
  if (pods.length > 0 && !options.yes) askToRemove(name, pods);
  await removeNode(client, name);
  process.stdout.write(
    `node ${name} is removed${pods.length > 0 ? `; ${pods.length} pods go with it` : ''}\n  when its host hears of it, it ends its pods; there: ./pintle down --purge forgets the rest\n`,
  );
}

async function podsOn(client: Client, nodeName: string): Promise<string[]> {
  const { items } = await client.list(podKind, { fieldSelector: `spec.nodeName=${nodeName}` });
  return items
    .filter(({ metadata, status }) => !isOfDaemon(metadata) && !['Succeeded', 'Failed'].includes(status?.phase ?? ''))
    .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
}
const isOfDaemon = ({ ownerReferences = [] }: { ownerReferences?: readonly { kind: string }[] }): boolean =>
  ownerReferences.some(({ kind }) => kind === 'DaemonSet');

const podsShown = 5;
function askToRemove(name: string, pods: readonly string[]): void {
  const more = pods.length > podsShown ? ` and ${pods.length - podsShown} more` : '';
  const what = `${pods.length} pods run on ${name}: ${pods.slice(0, podsShown).join(', ')}${more}`;
  const next = `move them first: kubectl drain ${name} --ignore-daemonsets --delete-emptydir-data; or add --yes`;
  if (!process.stdin.isTTY) throw new PintleError('NOT_CONFIRMED', `nothing was removed: ${what}`, next);
  if (!confirm(`${what}. Remove it all the same?`)) throw new PintleError('NOT_CONFIRMED', 'nothing was removed', next);
}

/** The key first: from then on the node can do nothing, so that nothing of it comes back. */
export async function removeNode(client: Client, name: string): Promise<void> {
  const known = await revokeKey(client, name);
  const isThere = await without(client.delete(nodeKind, { name }));
  await without(client.delete(leaseKind, { namespace: 'kube-node-lease', name }));
  // Kept for a host that may return; this one will not. Absent where nothing connects the hosts.
  await without(client.request('DELETE', `/apis/net.pintle.dev/v1/hostleases/${name}`));
  await forgetPods(client, name);
  if (!known && !isThere)
    throw new PintleError('NODE_UNKNOWN', `the cluster has no node ${name}`, 'see kubectl get nodes');
}

/** Nobody is left who could say that they have ended; the collector of such pods would wait for the node to come back. */
async function forgetPods(client: Client, nodeName: string): Promise<void> {
  const { items } = await client.list(podKind, { fieldSelector: `spec.nodeName=${nodeName}` });
  for (const { metadata } of items) {
    const key = { namespace: metadata.namespace, name: metadata.name! };
    await without(client.delete(podKind, key, { gracePeriodSeconds: 0, preconditions: { uid: metadata.uid } }));
  }
}

/** Kept, marked as removed, so that its holder can be told, and nobody else. False: there is none. */
async function revokeKey(client: Client, name: string): Promise<boolean> {
  const key = { namespace: enrollmentNamespace, name: identityName(name) };
  for (;;) {
    const found = await client.get(secretKind, key).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    });
    const identity = identityOf(found);
    if (!found || !identity) return false;
    if (identity.removedAt) return false;
    try {
      await client.update(secretKind, { ...found, data: { ...found.data, ...removedNow(Date.now()) } });
      return true;
    } catch (error) {
      if (!isReason(error, 'Conflict')) throw error;
    }
  }
}

async function without(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (isReason(error, 'NotFound')) return false;
    throw error;
  }
}
