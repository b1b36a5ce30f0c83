/** Names on which the parts of this plugin agree. They meet through API objects alone. */
export const dnsNamespace = 'kube-system';
/** The Service and the ConfigMap: the names that every cluster has them under. */
export const dnsName = 'kube-dns';
export const clusterDomain = 'cluster.local';
/** On a Node: where its server listens, as `10.244.0.1:10053`. */
export const endpointAnnotation = 'dns.pintle.dev/endpoint';
/** The same of its IPv6 address, as `[fd44::1]:10053`; absent where pods have none. */
export const sixAnnotation = 'dns.pintle.dev/endpoint6';
/** The n-th address of the service range is the Service's, as everywhere. */
export const addressNumber = 10;
/** Where servers listen if it is free; others must not find port 53 of the host taken. */
export const preferredPort = 10_053;
