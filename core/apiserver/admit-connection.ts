import type { UserInfo } from '#sdk';
import { AdmissionRun } from './admit.ts';
import type { AnyObject, JsonObject, RequestInfo } from './contract.ts';
import type { Call, Core } from './core.ts';

/** Streams that admission is asked about; a log is only read. */
const connections: Readonly<Record<string, readonly string[]>> = {
  exec: ['stdin', 'stdout', 'stderr', 'tty', 'container', 'command'],
  attach: ['stdin', 'stdout', 'stderr', 'tty', 'container'],
  portforward: ['ports'],
  proxy: ['path'],
};
const optionKinds: Readonly<Record<string, string>> = {
  exec: 'PodExecOptions',
  attach: 'PodAttachOptions',
  portforward: 'PodPortForwardOptions',
};
/** Asks admission before a stream to a pod, a service or a node begins. Throws what refuses it. */
export async function admitConnection(core: Core, request: Request, info: RequestInfo, user: UserInfo): Promise<void> {
  const names = connections[info.subresource];
  if (!names) return;
  const served = core.kinds.find(info.group, info.version, info.resource);
  const resources = served && core.cache.cacheOf(served.kind);
  if (!served || !resources || !core.admission.some((hook) => hook.connect)) return;
  const { kind } = served;
  const options: JsonObject = {
    kind: optionKinds[info.subresource] ?? `${kind.kind}ProxyOptions`,
    apiVersion: 'v1',
  };
  for (const name of names) {
    const given = name === 'path' ? [info.rest] : info.query.getAll(name);
    if (given.length === 0 || given[0] === '') continue;
    if (name === 'command') options[name] = given;
    else if (name === 'ports') options[name] = given.map(Number);
    else options[name] = name === 'container' || name === 'path' ? given[0] : given[0] === 'true' || given[0] === '1';
  }
  const call: Call = {
    core,
    request,
    info,
    user,
    served,
    resources,
    wanted: { format: 'json', as: 'object', version: 'v1', pretty: false },
    nowMs: core.clock.now(),
    dryRun: false,
    warnings: new Set(),
  };
  await new AdmissionRun(call, 'CONNECT', info.subresource).connect(options as AnyObject);
}
