import { apiVersionOf, type Kind } from '#api';
import type { AdmissionRequest, AnyKind, AnyObject, ServedKind } from '../../contract.ts';
import { conversionOf } from '../../conversions.ts';
import type { Core } from '../../core.ts';
import type { Subject, Target } from './matching.ts';

const targetOf = ({ group, version, plural, kind }: AnyKind): Target => ({ group, version, resource: plural, kind });

/** Kinds of subresources whose objects are not those of the resource. */
const partKinds: Readonly<Record<string, { readonly group: string; readonly version: string; readonly kind: string }>> =
  {
    scale: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
    token: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
    eviction: { group: 'policy', version: 'v1', kind: 'Eviction' },
    binding: { group: '', version: 'v1', kind: 'Binding' },
    exec: { group: '', version: 'v1', kind: 'PodExecOptions' },
    attach: { group: '', version: 'v1', kind: 'PodAttachOptions' },
    portforward: { group: '', version: 'v1', kind: 'PodPortForwardOptions' },
  };
const proxyKinds: Readonly<Record<string, string>> = {
  pods: 'PodProxyOptions',
  services: 'ServiceProxyOptions',
  nodes: 'NodeProxyOptions',
};

/** A request as webhooks and policies see it; their rules name resources, their answers speak of kinds. */
export interface Shown extends Subject {
  readonly request: AdmissionRequest;
  /** The kind of the parts (a Scale) where it is not that of the resource. */
  kindOf(target: Target): Target;
}

export function subjectOf(core: Core, request: AdmissionRequest): Shown {
  const { kind, subresource, operation, namespace, name, object, current } = request;
  const target = targetOf(kind);
  const part =
    subresource === 'proxy' ? { group: '', version: 'v1', kind: proxyKinds[kind.plural]! } : partKinds[subresource];
  // A binding is a creation of its own, whatever it does to the pod.
  const isBinding = subresource === 'binding' && object !== undefined;
  return {
    request,
    operation: isBinding ? 'CREATE' : operation,
    target,
    equivalents: subresource && part ? [] : equivalentsOf(core, kind).map(({ kind: other }) => targetOf(other)),
    subresource,
    namespace: kind.plural === 'namespaces' && !kind.group ? name : namespace,
    name,
    object: isBinding ? bindingOf(object) : object,
    current: isBinding ? undefined : current,
    kindOf: (one) => (part ? { ...one, ...part } : one),
  };
}

const bindingOf = (pod: Readonly<AnyObject>): AnyObject =>
  ({
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: pod.metadata.name, namespace: pod.metadata.namespace },
    target: { kind: 'Node', name: (pod['spec'] as { nodeName?: string } | undefined)?.nodeName },
  }) as unknown as AnyObject;

const known = new WeakMap<readonly ServedKind[], Map<string, readonly ServedKind[]>>();
/** Served from the same stored objects. */
function equivalentsOf(core: Core, kind: AnyKind): readonly ServedKind[] {
  const all = core.kinds.all();
  let table = known.get(all);
  if (!table) known.set(all, (table = new Map()));
  const key = `${apiVersionOf(kind)}/${kind.plural}`;
  let found = table.get(key);
  if (!found) {
    const stored = storeOf(kind);
    found = all.filter((one) => storeOf(one.kind) === stored && `${apiVersionOf(one.kind)}/${one.kind.plural}` !== key);
    table.set(key, found);
  }
  return found;
}
const storeOf = (kind: AnyKind): string => {
  const { group, plural } = (kind.storedAs as Kind | undefined) ?? kind;
  return `${group}/${plural}`;
};

/** An object of the request in another form of its kind. */
export async function inForm(
  core: Core,
  request: AdmissionRequest,
  object: Readonly<AnyObject> | undefined,
  target: Target,
): Promise<AnyObject | undefined> {
  if (!object || (target.group === request.kind.group && target.version === request.kind.version))
    return object as AnyObject | undefined;
  const served = core.kinds.find(target.group, target.version, target.resource);
  return served && convert(object, request.kind, served);
}
/** Back to the form of the request. */
export async function fromForm(core: Core, request: AdmissionRequest, object: AnyObject): Promise<AnyObject> {
  const { kind } = request;
  if (object.apiVersion === apiVersionOf(kind)) return object;
  const { apiVersion = '' } = object;
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const from = core.kinds.find(group!, version!, kind.plural)!;
  return convert(object, from.kind, core.kinds.find(kind.group, kind.version, kind.plural)!);
}
async function convert(object: Readonly<AnyObject>, from: AnyKind, to: ServedKind): Promise<AnyObject> {
  const apiVersion = apiVersionOf(to.kind);
  if (to.conversion) return (await to.conversion.convert([structuredClone(object) as AnyObject], apiVersion))[0]!;
  const { apiVersion: _version, kind: _kind, ...rest } = object;
  const stored = conversionOf(from)?.toStored(rest) ?? rest;
  const shown = conversionOf(to.kind)?.fromStored(stored) ?? stored;
  return { apiVersion, kind: to.kind.kind, ...shown } as AnyObject;
}
