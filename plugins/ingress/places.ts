import type { Kind, KubeObject } from '#sdk';

/** Names on which the parts of this plugin agree. They meet through API objects alone. */
export const ingressNamespace = 'kube-system';
/** The Service and the ConfigMap. */
export const ingressName = 'ingress';
/** Of the IngressClass, which is the default one. */
export const className = 'pintle';
export const controllerName = 'ingress.pintle.dev/controller';
export const annotationPrefix = 'ingress.pintle.dev/';
/** On a Node: where its data plane listens, as `10.244.0.1:10080:10443`. */
export const endpointAnnotation = 'ingress.pintle.dev/endpoint';
/** On a Node: which data plane it runs. */
export const driverAnnotation = 'ingress.pintle.dev/driver';
/** Where data planes listen if it is free. */
export const preferredPorts = { http: 10_080, https: 10_443 };
/**
 * Secrets of kube-system with copies of the certificates that Ingresses name, so that hosts may read those and no others.
 * Several, since an object is at most 1.5 MiB.
 */
export const certificateSecrets = [0, 1, 2, 3].map((index) => `ingress-certificates-${index}`);
/** A TLS Secret of kube-system: made when it is not there; who has a better one puts it there. */
export const defaultCertificateSecret = 'ingress-default-certificate';

/** Addresses for services, of another plugin, which need not be there. */
export const addressPoolKind: Kind<KubeObject> = {
  group: 'net.pintle.dev',
  version: 'v1',
  kind: 'AddressPool',
  plural: 'addresspools',
  singular: 'addresspool',
  namespaced: false,
  verbs: ['list'],
  type: 'dev.pintle.net.v1.AddressPool',
};
