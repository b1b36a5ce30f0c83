import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { ApiServer } from '../../core/apiserver/contract.ts';
import { send, startServer } from './world.ts';

let server: ApiServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Where a name that every JavaScript object has is given for one of a fixed set. NAME stands for it. */
const table: readonly (readonly [path: string, body: string])[] = [
  [
    '/api/v1/namespaces/default/resourcequotas',
    '{"metadata":{"name":"q"},"spec":{"scopes":["NAME"],"hard":{"pods":"1"}}}',
  ],
  [
    '/api/v1/persistentvolumes',
    '{"metadata":{"name":"q"},"spec":{"accessModes":["NAME","ReadWriteOncePod"],"capacity":{"storage":"1Gi"},"hostPath":{"path":"/a"}}}',
  ],
  ['/api/v1/namespaces', '{"metadata":{"name":"nsname","labels":{"pod-security.kubernetes.io/enforce":"NAME"}}}'],
  ['/api/v1/namespaces/nsname/serviceaccounts', '{"metadata":{"name":"default"}}'],
  ['/api/v1/namespaces/nsname/pods', '{"metadata":{"name":"p"},"spec":{"containers":[{"name":"a","image":"a"}]}}'],
  [
    '/api/v1/namespaces/default/services',
    '{"metadata":{"name":"s"},"spec":{"type":"NAME","sessionAffinity":"NAME","ports":[{"port":1,"protocol":"NAME"}]}}',
  ],
  [
    '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies',
    '{"metadata":{"name":"s"},"spec":{"podSelector":{"matchExpressions":[{"key":"a","operator":"NAME"}]},"policyTypes":["NAME"]}}',
  ],
  [
    '/apis/networking.k8s.io/v1/namespaces/default/ingresses',
    '{"metadata":{"name":"s"},"spec":{"rules":[{"http":{"paths":[{"path":"/","pathType":"NAME","backend":{"service":{"name":"a","port":{"number":1}}}}]}}]}}',
  ],
  [
    '/api/v1/namespaces/default/pods',
    '{"metadata":{"name":"p"},"spec":{"restartPolicy":"NAME","dnsPolicy":"NAME","tolerations":[{"key":"a","operator":"NAME","effect":"NAME"}],"containers":[{"name":"a","image":"a","imagePullPolicy":"NAME","resources":{"limits":{"NAME":"1"}}}]}}',
  ],
  [
    '/api/v1/namespaces/default/limitranges',
    '{"metadata":{"name":"p"},"spec":{"limits":[{"type":"NAME","max":{"cpu":"1"}}]}}',
  ],
  [
    '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
    '{"metadata":{"name":"p"},"addressType":"NAME","endpoints":[{"addresses":["1.2.3.4"]}]}',
  ],
  [
    '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings',
    '{"metadata":{"name":"p"},"roleRef":{"kind":"NAME","name":"a","apiGroup":"rbac.authorization.k8s.io"},"subjects":[{"kind":"NAME","name":"a"}]}',
  ],
  [
    '/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas',
    '{"metadata":{"name":"p"},"spec":{"distinguisherMethod":{"type":"NAME"},"rules":[{"subjects":[{"kind":"NAME"}]}]}}',
  ],
  [
    '/apis/storage.k8s.io/v1/storageclasses',
    '{"metadata":{"name":"p"},"provisioner":"a","reclaimPolicy":"NAME","volumeBindingMode":"NAME"}',
  ],
  [
    '/apis/certificates.k8s.io/v1/certificatesigningrequests',
    '{"metadata":{"name":"p"},"spec":{"request":"YQ==","signerName":"NAME","usages":["NAME"]}}',
  ],
  [
    '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    '{"spec":{"resourceAttributes":{"verb":"NAME","resource":"NAME","group":"NAME"}}}',
  ],
  ['/api/v1/nodes', '{"metadata":{"name":"p"},"spec":{"taints":[{"key":"a","effect":"NAME"}]}}'],
];
describe.each(['constructor', 'toString', 'hasOwnProperty'])('%s', (name) => {
  test.each(table)('%s', async (path, body) => {
    const request = new Request(
      `https://localhost${path}?dryRun=${path.includes('/namespaces/name') || path.endsWith('/namespaces') ? '' : 'All'}`,
      {
        method: 'POST',
        headers: { 'x-user': 'admin', 'content-type': 'application/json' },
        body: body.replaceAll('NAME', name),
      },
    );
    const { code, message } = await send(server, request);
    expect([code < 500, message]).toEqual([true, message]);
  });
});
