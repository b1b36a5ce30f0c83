import { apiVersionOf, errors, type OwnerReference } from '#api';
import type { AdmissionHook, AdmissionRequest, Attributes, Authorizer, KindRegistry } from '../contract.ts';
import { resourceText } from '../core.ts';

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? []) === JSON.stringify(b ?? []);

/** Who makes an object depend on another could have it deleted, and who blocks its owner's deletion keeps that alive. */
export const ownerReferenceRights = (authorizer: Authorizer, kinds: () => KindRegistry): AdmissionHook => ({
  name: 'OwnerReferencesPermissionEnforcement',
  validate(request) {
    const { operation, object, current, kind, subresource } = request;
    if (operation === 'DELETE' || !object) return;
    if (!kind.group && kind.plural === 'pods' && subresource === 'status') return;
    const next = object.metadata.ownerReferences;
    const before = current?.metadata.ownerReferences;
    if (next !== before && !same(next, before))
      return checkRights(authorizer, kinds, request, next ?? [], before ?? []);
  },
});

async function checkRights(
  authorizer: Authorizer,
  kinds: () => KindRegistry,
  { operation, user, kind, namespace, name, subresource }: AdmissionRequest,
  next: readonly OwnerReference[],
  before: readonly OwnerReference[],
): Promise<void> {
  const asked = (
    verb: string,
    group: string,
    resource: string,
    part: string,
    where: string,
    which: string,
  ): Attributes => ({
    verb,
    group,
    version: '*',
    resource,
    subresource: part,
    namespace: where,
    name: which,
    path: '',
    isResource: true,
  });
  const refuse = (why: string) => errors.forbidden(resourceText(kind), name, why);
  if (operation !== 'CREATE') {
    const { allowed, reason = '' } = await authorizer.authorize(
      user,
      asked('delete', kind.group, kind.plural, subresource, namespace, name),
    );
    if (!allowed) throw refuse(`cannot set an ownerRef on a resource you can't delete: ${reason}, <nil>`);
  }
  const blocking = newlyBlocking(next, before);
  if (blocking.length === 0) return;
  if ((await authorizer.authorize(user, asked('update', '*', '*', 'finalizers', '', '*'))).allowed) return;
  for (const owner of blocking) {
    const found = kinds()
      .all()
      .filter((served) => served.kind.kind === owner.kind && apiVersionOf(served.kind) === owner.apiVersion);
    if (found.length === 0)
      throw refuse(
        `cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion ${owner.apiVersion} Kind ${owner.kind}: no matches for kind ${JSON.stringify(owner.kind)} in version ${JSON.stringify(owner.apiVersion)}`,
      );
    for (const { kind: ownerKind } of found) {
      const where = ownerKind.namespaced ? namespace : '';
      const { allowed, reason = '' } = await authorizer.authorize(
        user,
        asked('update', ownerKind.group, ownerKind.plural, 'finalizers', where, owner.name),
      );
      if (!allowed)
        throw refuse(
          `cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: ${reason}, <nil>`,
        );
    }
  }
}

function newlyBlocking(next: readonly OwnerReference[], before: readonly OwnerReference[]): OwnerReference[] {
  const known = new Set(before.filter((owner) => owner.blockOwnerDeletion).map((owner) => owner.uid));
  return next.filter((owner) => owner.blockOwnerDeletion && !known.has(owner.uid));
}
