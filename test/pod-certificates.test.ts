import { expect, test } from 'bun:test';
import { type Pod, podCertificateRequestKind } from '#api';
import { systemClock } from '#base';
import { createClient } from '#client';
import { PodCertificates } from '../core/kubelet/volumes/pod-certificates.ts';
import { openApiServer } from './fixtures/open-server.ts';

test('a node asks in the name of its pod, waits for the signer, and keeps what it got until it is to be renewed', async () => {
  await using server = await openApiServer();
  const client = createClient({ fetch: (request) => server.fetch(request), baseUrl: 'http://localhost' });
  const send = (path: string, body: unknown) => client.request('POST', path, body as object);
  await send('/api/v1/nodes', { metadata: { name: 'n' } });
  await send('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
  const pod = (await send('/api/v1/namespaces/default/pods', {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  })) as Pod;
  const certificates = new PodCertificates(client, systemClock, 'n');
  const source = {
    signerName: 'example.com/s',
    keyType: 'ED25519',
    credentialBundlePath: 'c',
    userAnnotations: { 'example.com/a': 'b' },
  };
  const asked = certificates.certificate(pod, 'v 0', source);
  const requests = () => client.list(podCertificateRequestKind, { namespace: 'default' });
  let found = await requests();
  for (
    const end = performance.now() + 20_000;
    found.items.length === 0 && performance.now() < end;
    found = await requests()
  )
    await Bun.sleep(5);
  const request = found.items[0]!;
  expect(request.spec).toMatchObject({
    signerName: 'example.com/s',
    podName: 'p',
    podUID: pod.metadata.uid,
    serviceAccountName: 'default',
    nodeName: 'n',
    maxExpirationSeconds: 86_400,
    unverifiedUserAnnotations: { 'example.com/a': 'b' },
  });
  const later = new Date(systemClock.now() + 3_600_000).toISOString().replace(/\.\d+/, '');
  const issued = {
    type: 'Issued',
    status: 'True',
    reason: 'R',
    message: 'm',
    lastTransitionTime: later,
  };
  await client.request(
    'PUT',
    `/apis/certificates.k8s.io/v1/namespaces/default/podcertificaterequests/${request.metadata?.name}/status`,
    { ...request, status: { certificateChain: 'CHAIN', beginRefreshAt: later, notAfter: later, conditions: [issued] } },
  );
  const held = await asked;
  expect(held.chain).toBe('CHAIN');
  expect(held.key).toStartWith('-----BEGIN PRIVATE KEY-----');
  expect(held.renewAtMs).toBeGreaterThan(systemClock.monotonicMs() + 3_000_000);
  expect(await certificates.certificate(pod, 'v 0', source)).toBe(held);
  expect((await requests()).items).toHaveLength(1);
});
