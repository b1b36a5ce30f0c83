import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../../store/memory.ts';
import { createAuthorizer } from '../auth/authorizer.ts';
import type { ApiServer } from '../contract.ts';
import { createApiServer } from '../server.ts';

/** The chain on the real server; its words are compared with the original's in test/differential. */
let server: ApiServer;
beforeEach(async () => {
  server = await createApiServer({
    store: await createMemoryStore(),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    authenticator: {
      authenticate: async (request) => {
        const name = request.headers.get('x-user') ?? 'admin';
        return { name, groups: name === 'admin' ? ['system:masters'] : [] };
      },
    },
    authorizer: createAuthorizer({ nodeUses: () => false }),
  });
  await call('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
});
afterEach(() => server[Symbol.asyncDispose]());

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<any> {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const response = await server.fetch(
    new Request(`http://localhost${path}`, {
      method,
      headers: { 'content-type': type, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    }),
  );
  return response.json();
}
const as = (user: string) => ({ 'x-user': user });
const home = '/api/v1/namespaces/default';
const pod = (name: string, resources: object = {}, labels: object = {}) => ({
  metadata: { name, labels },
  spec: { containers: [{ name: 'c', image: 'i', resources }] },
});
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const rule = (resource: string, ...verbs: string[]) => ({ apiGroups: [''], resources: [resource], verbs });

describe('quota', () => {
  const hard = { pods: '2', 'requests.cpu': '1' };
  const small = { requests: { cpu: '100m' } };
  beforeEach(async () => {
    await call('POST', `${home}/resourcequotas`, { metadata: { name: 'q' }, spec: { hard } });
    await call('PATCH', `${home}/resourcequotas/q/status`, {
      status: { hard, used: { pods: '0', 'requests.cpu': '0' } },
    });
  });
  test('twenty writers at once get exactly what there is', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => call('POST', `${home}/pods`, pod(`p${i}`, small))),
    );
    expect(answers.filter(({ kind }) => kind === 'Pod')).toHaveLength(2);
    expect((await call('GET', `${home}/pods`)).items).toHaveLength(2);
    expect((await call('GET', `${home}/resourcequotas/q`)).status.used).toEqual({ pods: '2', 'requests.cpu': '200m' });
  });
  test('what is not said cannot be counted, and a dry run costs nothing', async () => {
    expect((await call('POST', `${home}/pods`, pod('p'))).message).toBe(
      'pods "p" is forbidden: failed quota: q: must specify requests.cpu for: c',
    );
    await call('POST', `${home}/pods?dryRun=All`, pod('p', small));
    expect((await call('GET', `${home}/resourcequotas/q`)).status.used.pods).toBe('0');
  });
});

describe('eviction', () => {
  const budget = async (disruptionsAllowed: number) => {
    const created = await call('POST', '/apis/policy/v1/namespaces/default/poddisruptionbudgets', {
      metadata: { name: 'b' },
      spec: { minAvailable: 1, selector: { matchLabels: { a: 'b' } } },
    });
    await call('PATCH', '/apis/policy/v1/namespaces/default/poddisruptionbudgets/b/status', {
      status: {
        disruptionsAllowed,
        currentHealthy: 1 + disruptionsAllowed,
        desiredHealthy: 1,
        expectedPods: 2,
        observedGeneration: created.metadata.generation,
      },
    });
  };
  const running = async (name: string) => {
    await call('POST', `${home}/pods`, pod(name, {}, { a: 'b' }));
    const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
    await call('PATCH', `${home}/pods/${name}/status`, { status });
  };
  const evict = (name: string) =>
    call('POST', `${home}/pods/${name}/eviction`, { kind: 'Eviction', apiVersion: 'policy/v1', metadata: { name } });

  test('two evictions do not share the last disruption', async () => {
    await budget(1);
    for (const name of ['x', 'y', 'z']) await running(name);
    const answers = await Promise.all(['x', 'y', 'z'].map(evict));
    expect(answers.filter(({ status }) => status === 'Success')).toHaveLength(1);
    const refused = answers.find(({ status }) => status !== 'Success');
    expect(refused).toMatchObject({
      code: 429,
      reason: 'TooManyRequests',
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: { causes: [{ reason: 'DisruptionBudget' }] },
    });
  });
  test('pods that serve nobody may go', async () => {
    await budget(0);
    await call('POST', `${home}/pods`, pod('idle', {}, { a: 'b' }));
    expect((await evict('idle')).status).toBe('Success');
    await running('busy');
    expect((await evict('busy')).details.causes[0].message).toBe(
      'The disruption budget b needs 1 healthy pods and has 1 currently',
    );
  });
});

test('a pod that is put as it was posted is no change of its tolerations', async () => {
  const account = { serviceAccountName: 'default', automountServiceAccountToken: false };
  const posted = { metadata: { name: 'again' }, spec: { ...account, containers: [{ name: 'c', image: 'i' }] } };
  const { spec } = await call('POST', `${home}/pods`, posted);
  const put = await call('PUT', `${home}/pods/again`, { ...posted, metadata: { name: 'again', labels: { a: 'b' } } });
  expect(put.spec).toEqual(spec);
  expect(put.metadata.labels).toEqual({ a: 'b' });
});

describe('rights', () => {
  const bind = (name: string, role: object) =>
    call('POST', `${rbac}/namespaces/default/rolebindings`, {
      metadata: { name },
      roleRef: role,
      subjects: [{ kind: 'User', name: 'bob' }],
    });
  test('a revocation holds from the next request', async () => {
    const list = () => call('GET', `${home}/pods`, undefined, as('bob'));
    expect((await list()).code).toBe(403);
    await bind('b', { kind: 'ClusterRole', name: 'system:aggregate-to-view' });
    expect((await list()).kind).toBe('PodList');
    await call('DELETE', `${rbac}/namespaces/default/rolebindings/b`);
    expect((await list()).code).toBe(403);
  });
  test('nobody grants what he has not, on any write path', async () => {
    const rules = [rule('pods', 'get'), { ...rule('roles', '*'), apiGroups: ['rbac.authorization.k8s.io'] }];
    const limited = [
      rules[0],
      { apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles'], verbs: ['create', 'patch', 'update', 'get'] },
    ];
    await call('POST', `${rbac}/namespaces/default/roles`, { metadata: { name: 'r' }, rules: limited });
    await bind('b', { kind: 'Role', name: 'r' });
    const own = { metadata: { name: 'mine' }, rules: [rule('pods', 'get')] };
    expect((await call('POST', `${rbac}/namespaces/default/roles`, own, as('bob'))).kind).toBe('Role');
    const more = [rule('secrets', 'get')];
    const ways = [
      call('POST', `${rbac}/namespaces/default/roles`, { metadata: { name: 'more' }, rules: more }, as('bob')),
      call('PATCH', `${rbac}/namespaces/default/roles/mine`, { rules: more }, as('bob')),
      call('PUT', `${rbac}/namespaces/default/roles/mine`, { metadata: { name: 'mine' }, rules: more }, as('bob')),
      call('PATCH', `${rbac}/namespaces/default/roles/r`, { rules: [...limited, ...more] }, as('bob')),
    ];
    for (const answer of await Promise.all(ways))
      expect(answer.message).toContain(
        'user "bob" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
      );
  });
  test('impersonation asks for each part of the identity', async () => {
    const headers = { ...as('bob'), 'impersonate-user': 'eve', 'impersonate-group': 'g' };
    expect((await call('GET', `${home}/pods`, undefined, headers)).message).toBe(
      'users "eve" is forbidden: User "bob" cannot impersonate resource "users" in API group "" at the cluster scope',
    );
    await call('POST', `${rbac}/clusterroles`, { metadata: { name: 'actor' }, rules: [rule('users', 'impersonate')] });
    await call('POST', `${rbac}/clusterrolebindings`, {
      metadata: { name: 'actor' },
      roleRef: { kind: 'ClusterRole', name: 'actor' },
      subjects: [{ kind: 'User', name: 'bob' }],
    });
    expect((await call('GET', `${home}/pods`, undefined, headers)).message).toContain('groups "g" is forbidden');
  });
  test('bootstrap roles come back when they were narrowed, unless they say not to', async () => {
    const again = await call('GET', `${rbac}/clusterroles/system:kube-scheduler`);
    expect(again.rules.length).toBeGreaterThan(5);
    expect((await call('GET', `${rbac}/clusterroles`)).items.length).toBeGreaterThan(70);
  });
});
