import { describe, expect, test } from 'bun:test';
import type { KubeObject, PolicyRule, RbacSubject } from '#api';
import { seededRandom } from '#base';
import type { UserInfo } from '#sdk';
import type { Attributes } from '../attributes.ts';
import { createAuthorizer } from '../authorizer.ts';
import { policyReader } from './policy-reader.ts';
import { ruleTexts, uncovered } from './rules.ts';

/** RANDOM_CASES=1000000 bun test …/rbac.test.ts is the long run. */
const cases = Number(Bun.env['RANDOM_CASES'] ?? 20_000);

interface World {
  readonly objects: (KubeObject & {
    rules?: PolicyRule[];
    roleRef?: { kind: string; name: string };
    subjects?: RbacSubject[];
  })[];
}
const random = seededRandom(7);
const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)]!;
const some = <T>(list: readonly T[], max = 2): T[] =>
  Array.from({ length: Math.floor(random.next() * (max + 1)) }, () => pick(list));
const verbs = ['get', 'list', 'create', 'delete', '*'];
const groups = ['', 'apps', '*'];
const resources = ['pods', 'pods/log', 'secrets', '*', '*/log', '*/status', 'deployments'];
const names = ['a', 'b'];
const paths = ['/healthz', '/api', '/api/*', '*', '/metrics'];
const spaces = ['n1', 'n2'];
const users = ['ann', 'bob', 'system:serviceaccount:n1:app'];
const teams = ['dev', 'ops', 'system:authenticated'];

function randomRule(): PolicyRule {
  const given = some(verbs).concat(pick(verbs));
  if (random.next() < 0.2) return { verbs: given, nonResourceURLs: some(paths).concat(pick(paths)) };
  return {
    verbs: given,
    apiGroups: some(groups).concat(pick(groups)),
    resources: some(resources).concat(pick(resources)),
    resourceNames: random.next() < 0.3 ? some(names) : [],
  };
}
function randomSubject(): RbacSubject {
  const kind = pick(['User', 'Group', 'ServiceAccount']);
  if (kind === 'User') return { kind, name: pick(users) };
  if (kind === 'Group') return { kind, name: pick(teams) };
  return { kind, name: 'app', ...(random.next() < 0.7 && { namespace: pick(spaces) }) };
}
function randomWorld(): World {
  const roleNames = ['r1', 'r2', 'r3'];
  const objects: World['objects'] = [];
  for (const name of roleNames) {
    if (random.next() < 0.8)
      objects.push({ kind: 'ClusterRole', metadata: { name }, rules: [randomRule(), randomRule()] });
    for (const namespace of spaces)
      if (random.next() < 0.6) objects.push({ kind: 'Role', metadata: { name, namespace }, rules: [randomRule()] });
  }
  for (let i = 0; i < 3; i++) {
    const roleRef = { kind: 'ClusterRole', name: pick(roleNames) };
    if (random.next() < 0.3)
      objects.push({ kind: 'ClusterRoleBinding', metadata: { name: `b${i}` }, roleRef, subjects: [randomSubject()] });
    const local = { kind: pick(['Role', 'ClusterRole']), name: pick(roleNames) };
    objects.push({
      kind: 'RoleBinding',
      metadata: { name: `b${i}`, namespace: pick(spaces) },
      roleRef: local,
      subjects: [randomSubject(), randomSubject()],
    });
  }
  return { objects };
}
function randomAsked(): Attributes {
  const isResource = random.next() < 0.8;
  const [resource = '', subresource = ''] = pick(['pods', 'pods/log', 'secrets', 'deployments', 'pods/status']).split(
    '/',
  );
  return {
    verb: pick(['get', 'list', 'create', 'delete', 'watch']),
    group: pick(['', 'apps', 'batch']),
    version: 'v1',
    resource: isResource ? resource : '',
    subresource: isResource ? subresource : '',
    namespace: isResource ? pick(['', ...spaces]) : '',
    name: isResource ? pick(['', 'a', 'b', 'c']) : '',
    path: isResource ? '' : pick(['/healthz', '/api', '/api/v1', '/metrics', '/x']),
    isResource,
  };
}

/** The rules said as plainly as possible: every binding, every subject, every role, every rule. */
function naive(world: World, user: UserInfo, asked: Attributes): boolean {
  const matches = (binding: World['objects'][number]) =>
    (binding.subjects ?? []).some((subject) => {
      if (subject.kind === 'User') return subject.name === user.name;
      if (subject.kind === 'Group') return user.groups.includes(subject.name);
      const home = subject.namespace || binding.metadata.namespace || '';
      return home !== '' && user.name === `system:serviceaccount:${home}:${subject.name}`;
    });
  for (const binding of world.objects) {
    const cluster = binding.kind === 'ClusterRoleBinding';
    if (!cluster && binding.kind !== 'RoleBinding') continue;
    if (!cluster && (!asked.isResource || binding.metadata.namespace !== asked.namespace)) continue;
    if (!matches(binding)) continue;
    const role = world.objects.find(
      (object) =>
        object.kind === binding.roleRef!.kind &&
        object.metadata.name === binding.roleRef!.name &&
        (object.kind === 'ClusterRole' || object.metadata.namespace === binding.metadata.namespace),
    );
    for (const rule of role?.rules ?? []) if (allows(rule, asked)) return true;
  }
  return false;
}
function allows(rule: PolicyRule, asked: Attributes): boolean {
  if (!rule.verbs!.some((verb) => verb === '*' || verb === asked.verb)) return false;
  if (!asked.isResource)
    return (rule.nonResourceURLs ?? []).some(
      (url) => url === asked.path || (url.endsWith('*') && asked.path.startsWith(url.slice(0, -1))),
    );
  if (!(rule.apiGroups ?? []).some((group) => group === '*' || group === asked.group)) return false;
  const whole = asked.subresource ? `${asked.resource}/${asked.subresource}` : asked.resource;
  const fits = (rule.resources ?? []).some(
    (resource) =>
      resource === '*' || resource === whole || (asked.subresource && resource === `*/${asked.subresource}`),
  );
  return fits && (!rule.resourceNames?.length || rule.resourceNames.includes(asked.name));
}

test(`the evaluator agrees with a naive one on ${cases} random cases`, () => {
  let allowed = 0;
  for (let done = 0; done < cases; ) {
    const world = randomWorld();
    const authorizer = createAuthorizer({ nodeUses: () => false });
    authorizer.bind(policyReader(world.objects));
    for (let i = 0; i < 100 && done < cases; i++, done++) {
      const user = { name: pick(users), groups: some(teams) };
      const asked = randomAsked();
      const expected = naive(world, user, asked);
      if (authorizer.authorize(user, asked).allowed !== expected)
        throw new Error(JSON.stringify({ world, user, asked, expected }));
      if (expected) allowed++;
    }
  }
  expect(allowed).toBeGreaterThan(cases / 20);
});

test('what rules cover, they allow: 2,000 random pairs', () => {
  for (let i = 0; i < 2000; i++) {
    const held = [randomRule(), randomRule()];
    const wanted = [randomRule()];
    if (uncovered(held, wanted).length > 0) continue;
    for (let j = 0; j < 20; j++) {
      const asked = randomAsked();
      if (wanted.some((rule) => allows(rule, asked))) expect(held.some((rule) => allows(rule, asked))).toBe(true);
    }
  }
});

describe('what is missing is told', () => {
  const table: [held: PolicyRule[], wanted: PolicyRule[], missing: string[]][] = [
    [
      [],
      [{ verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] }],
      ['{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}'],
    ],
    [
      [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
      [{ verbs: ['get'], apiGroups: [''], resources: ['pods/log'] }],
      [],
    ],
    [
      [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['a'] }],
      [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }],
      ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}'],
    ],
    [
      [{ verbs: ['get'], nonResourceURLs: ['/api/*'] }],
      [{ verbs: ['get'], nonResourceURLs: ['/api/v1', '/x'] }],
      ['{NonResourceURLs:["/x"], Verbs:["get"]}'],
    ],
  ];
  test.each(table)('%j holds, %j wanted', (held, wanted, missing) => {
    expect(ruleTexts(uncovered(held, wanted))).toEqual(missing);
  });
});
