import type { Kind, KubeObject } from '#api';
import type { Reader } from '../../contract.ts';

/** A fixed set of objects, read like the server's caches: for tests and for questions about a policy on paper. */
export function policyReader(objects: readonly Readonly<KubeObject>[]): Reader {
  const keyOf = (kind: string, namespace: string, name: string) => `${kind}/${namespace}/${name}`;
  const byKey = new Map<string, Readonly<KubeObject>>();
  for (const object of objects) {
    const { namespace = '', name = '' } = object.metadata;
    byKey.set(keyOf(object.kind ?? '', namespace, name), object);
  }
  const list = <T>(kind: Kind<T>, namespace = '') =>
    objects.filter(
      (object) => object.kind === kind.kind && (!namespace || object.metadata.namespace === namespace),
    ) as unknown as Readonly<T>[];
  return {
    get: <T>(kind: Kind<T>, namespace: string, name: string) =>
      byKey.get(keyOf(kind.kind, namespace, name)) as unknown as Readonly<T> | undefined,
    list,
    indexed: () => [],
    onChange<T>(kind: Kind<T>, handler: (next: Readonly<T> | undefined, previous: Readonly<T> | undefined) => void) {
      for (const object of list(kind)) handler(object, undefined);
    },
  };
}
