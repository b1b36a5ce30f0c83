import { errors } from '#api';
import type { AdmissionHook, AdmissionRequest, UserInfo } from '#sdk';
import { type PluginObject, type PluginStatus, pluginKind } from './kind.ts';
import { runsOn } from './placement.ts';
import { accountNamespace } from './rbac.ts';

type Labels = Readonly<Record<string, string>>;

/** Which nodes run which plugins, as the API server knows it: a node may act as the account of those, and of no others. */
export class NodePlugins {
  readonly #placed = new Map<string, Readonly<PluginObject>>();
  /** Of a node that is there. */
  labelsOf: (nodeName: string) => Labels | undefined = () => undefined;

  set(name: string, plugin: Readonly<PluginObject> | undefined): void {
    if (plugin?.status?.placement) this.#placed.set(name, plugin);
    else this.#placed.delete(name);
  }
  isAccountOn(nodeName: string, namespace: string, account: string): boolean {
    const plugin = namespace === accountNamespace ? this.#placed.get(account) : undefined;
    if (!plugin) return false;
    const node = { name: nodeName, labels: this.labelsOf(nodeName) ?? {} };
    return runsOn(plugin.status?.placement, plugin.spec?.nodes, node);
  }
}

const nodePrefix = 'system:node:';
const nodeOf = ({ name, groups }: UserInfo): string | undefined =>
  groups.includes('system:nodes') && name.startsWith(nodePrefix) ? name.slice(nodePrefix.length) : undefined;

/** Of Plugin objects a node writes nothing but its own entry of status.nodes. */
export const nodeWritesOwnEntry: AdmissionHook = {
  name: 'NodePlugins',
  validate({ kind, user, operation, subresource, object, current }: AdmissionRequest): void {
    const nodeName = kind.type === pluginKind.type ? nodeOf(user) : undefined;
    if (nodeName === undefined) return;
    const isStatus = operation === 'UPDATE' && subresource === 'status' && object && current;
    if (isStatus && Bun.deepEquals(withoutEntry(object, nodeName), withoutEntry(current, nodeName))) return;
    const name = (object ?? current)?.metadata.name ?? '';
    const why = `node ${JSON.stringify(nodeName)} may change its own entry of status.nodes only`;
    throw errors.forbidden('plugins.plugins.pintle.dev', name, why);
  },
};
/** What must stay as it is. An empty list is none. Pure. */
function withoutEntry(object: object, nodeName: string): unknown {
  const { metadata, spec, status } = structuredClone(object) as PluginObject;
  const { nodes = [], ...rest } = (status ?? {}) as PluginStatus;
  const { labels, annotations, finalizers, ownerReferences } = metadata;
  return JSON.parse(
    JSON.stringify([
      [labels, annotations, finalizers, ownerReferences],
      spec,
      rest,
      nodes.filter(({ name }) => name !== nodeName),
    ]),
  );
}
