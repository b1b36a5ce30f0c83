import { expect, test } from 'bun:test';
import { createServer } from 'node:https';
import { Scope, seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../../store/memory.ts';
import { createAuthority, issueClient, issueServing } from '../../wire/pki.ts';
import { createApiServer } from '../server.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
type Any = any;

/** A server of another group, which takes users from whoever shows the right certificate. */
async function backend(scope: Scope) {
  const nowMs = systemClock.now();
  const authority = await createAuthority('wardle', nowMs);
  const front = await createAuthority('front', nowMs);
  const names = { ipAddresses: [], dnsNames: ['api.wardle.svc'], days: 1, nowMs };
  const tls = await issueServing(authority, { commonName: 'api', ...names });
  const client = await issueClient(front, { commonName: 'front-proxy-client', organizations: [], days: 1, nowMs });
  const seen: { url: string; method: string; user: unknown; groups: unknown; client: string; body: string }[] = [];
  const server = createServer(
    { ...tls, ca: front.cert, requestCert: true, rejectUnauthorized: true },
    async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const groups = request.rawHeaders.filter((_, index, all) => /^x-remote-group$/i.test(all[index - 1] ?? ''));
      seen.push({
        url: request.url ?? '',
        method: request.method ?? '',
        user: request.headers['x-remote-user'],
        groups,
        client: request.headers.authorization ?? '',
        body: Buffer.concat(chunks).toString(),
      });
      response.setHeader('content-type', 'application/json');
      const resources = [
        { name: 'flunders', kind: 'Flunder', namespaced: true, singularName: 'flunder', verbs: ['get'] },
      ];
      response.end(JSON.stringify(request.url === '/apis/wardle.io/v1' ? { resources } : { kind: 'Flunder' }));
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.defer(() => void server.close());
  const { port } = server.address() as { port: number };
  return {
    port,
    seen,
    caBundle: Buffer.from(authority.cert).toString('base64'),
    frontProxy: { ...client, ca: front.cert },
  };
}

test('requests for a group of another server reach it in the name of who asks; discovery shows it', async () => {
  await using scope = new Scope();
  const { port, seen, caBundle, frontProxy } = await backend(scope);
  const server = scope.use(
    await createApiServer({
      store: await createMemoryStore(),
      clock: systemClock,
      random: seededRandom(1),
      log: silentLog,
      serviceRange: '127.5.0.0/24',
      webhookRanges: ['127.0.0.0/8'],
      frontProxy,
      authenticator: { authenticate: async () => ({ name: 'ann', groups: ['system:masters', 'b'] }) },
      authorizer: { authorize: () => ({ allowed: true }) },
    }),
  );
  const call = async (method: string, path: string, body?: unknown, accept = 'application/json'): Promise<Any> => {
    const response = await server.fetch(
      new Request(`http://localhost${path}`, {
        method,
        headers: {
          accept,
          'content-type': 'application/json',
          authorization: 'Bearer secret',
          'x-remote-user': 'forged',
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    );
    const text = await response.text();
    return { ...(text.startsWith('{') ? JSON.parse(text) : { text }), code: response.status };
  };
  const trust = await call('GET', '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication');
  expect(trust.data).toMatchObject({ 'requestheader-client-ca-file': frontProxy.ca });
  const services = '/apis/apiregistration.k8s.io/v1/apiservices';
  const spec = { group: 'wardle.io', version: 'v1', groupPriorityMinimum: 10, versionPriority: 10, caBundle };
  await call('POST', services, {
    metadata: { name: 'v1.wardle.io' },
    spec: { ...spec, service: { namespace: 'wardle', name: 'api', port: 443 } },
  });
  expect(await call('GET', '/apis/wardle.io/v1/namespaces/x/flunders/a')).toMatchObject({
    code: 503,
    message: 'service unavailable',
  });
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'wardle' } });
  const live = await call('POST', '/api/v1/namespaces/wardle/services', {
    metadata: { name: 'api' },
    spec: { clusterIP: '127.5.0.9', ports: [{ port: 443 }] },
  });
  expect(live.code).toBe(201);
  // An address of the cluster's own range must be a live one: here it is that of a pod.
  await call('POST', '/api/v1/namespaces/wardle/serviceaccounts', { metadata: { name: 'default' } });
  await call('POST', '/api/v1/namespaces/wardle/pods', {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  });
  const pod = '/api/v1/namespaces/wardle/pods/p/status';
  const running = await call('GET', pod);
  await call('PUT', pod, {
    ...running,
    code: undefined,
    status: { phase: 'Running', podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] },
  });
  await call('POST', '/apis/discovery.k8s.io/v1/namespaces/wardle/endpointslices', {
    metadata: { name: 'api', labels: { 'kubernetes.io/service-name': 'api' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
    ports: [{ port, protocol: 'TCP', name: '' }],
  });
  expect(await call('POST', '/apis/wardle.io/v1/namespaces/x/flunders?dryRun=All', { a: 1 })).toMatchObject({
    code: 200,
    kind: 'Flunder',
  });
  expect(seen.at(-1)).toEqual({
    url: '/apis/wardle.io/v1/namespaces/x/flunders?dryRun=All',
    method: 'POST',
    user: 'ann',
    groups: ['system:masters', 'b', 'system:authenticated'],
    client: '',
    body: '{"a":1}',
  });
  // A change of the APIService makes the next check come at once.
  await call('PATCH', `${services}/v1.wardle.io`, undefined);
  const changed = await call('GET', `${services}/v1.wardle.io`);
  await call('PUT', `${services}/v1.wardle.io`, {
    ...changed,
    code: undefined,
    spec: { ...changed.spec, versionPriority: 11 },
  });
  const availability = async () =>
    (await call('GET', `${services}/v1.wardle.io`)).status?.conditions?.find((one: Any) => one.type === 'Available');
  for (const end = performance.now() + 20_000; performance.now() < end; await Bun.sleep(10))
    if ((await availability())?.status === 'True') break;
  expect(await availability()).toMatchObject({ status: 'True', reason: 'Passed', message: 'all checks passed' });
  expect((await call('GET', '/apis')).groups.at(-1)).toMatchObject({
    name: 'wardle.io',
    preferredVersion: { version: 'v1' },
  });
  expect((await call('GET', '/apis/wardle.io')).versions).toHaveLength(1);
  const form = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
  expect((await call('GET', '/apis', undefined, form)).items.at(-1)).toMatchObject({
    metadata: { name: 'wardle.io' },
    versions: [{ version: 'v1', resources: [{ resource: 'flunders', scope: 'Namespaced' }] }],
  });
  await call('DELETE', `${services}/v1.wardle.io`);
  expect((await call('GET', '/apis/wardle.io/v1/namespaces/x/flunders/a')).code).toBe(404);
});
