import type { Kind, KubeObject } from '#sdk';
import type { AddressPool as PoolObject } from '../../crds/gen/addresspools.ts';

/** Addresses for services of type LoadBalancer. */
export type AddressPool = PoolObject & KubeObject;

export const addressPoolKind: Kind<AddressPool> = {
  group: 'net.pintle.dev',
  version: 'v1',
  kind: 'AddressPool',
  plural: 'addresspools',
  singular: 'addresspool',
  namespaced: false,
  verbs: ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'],
  type: 'dev.pintle.net.v1.AddressPool',
};
/** On a Service: the pool that its addresses come from. */
export const poolAnnotation = 'net.pintle.dev/pool';
/** On a Service: the addresses that it wants, one for each family, with commas between. */
export const addressesAnnotation = 'net.pintle.dev/addresses';
/** Set by whoever gives a service addresses, so that they are taken back before it is gone. */
export const cleanupFinalizer = 'service.kubernetes.io/load-balancer-cleanup';
/** Beside no class at all, the one that is served here. */
export const ownClass = 'net.pintle.dev/pool';
