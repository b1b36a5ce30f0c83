import type { KubeletClaim, KubeletOperation } from './access.ts';

/** The one parse of a kubelet request's path. */
export interface KubeletRoute {
  readonly path: string;
  readonly claim: KubeletClaim;
}

const withContainer: Readonly<Record<string, KubeletOperation>> = {
  containerLogs: 'logs',
  exec: 'exec',
  attach: 'attach',
};
const name = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/; // of namespaces, pods and containers; nothing to decode in it

/** Of the node as a whole, for whoever may read its figures. */
const figures: ReadonlySet<string> = new Set([
  '/healthz',
  '/stats/summary',
  '/metrics',
  '/metrics/resource',
  '/metrics/plugins',
]);

/** Undefined: no such path. */
export function parseKubeletPath(path: string): KubeletRoute | undefined {
  if (figures.has(path)) return { path, claim: { operation: 'stats', namespace: '', pod: '' } };
  const [, first = '', namespace = '', pod = '', container, ...more] = path.split('/');
  if (more.length > 0 || !name.test(namespace) || !name.test(pod)) return undefined;
  if (first === 'portForward')
    return container === undefined ? { path, claim: { operation: 'portForward', namespace, pod } } : undefined;
  const operation = Object.hasOwn(withContainer, first) ? withContainer[first] : undefined;
  if (!operation || container === undefined || !name.test(container)) return undefined;
  return { path, claim: { operation, namespace, pod, container } };
}
