import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { Scope } from '#base';
import { openApiServer } from '../../../../test/fixtures/open-server.ts';
import { createAuthorizer } from '../../auth/authorizer.ts';
import type { ApiServer } from '../../contract.ts';

/** Policies on the real server; their words are compared with upstream's in test/differential. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
type Any = any;
let scope: Scope;
let server: ApiServer;
beforeAll(async () => {
  scope = new Scope();
  server = scope.use(
    await openApiServer({
      authorizer: createAuthorizer({ nodeUses: () => false }),
    }),
  );
});
afterAll(() => scope[Symbol.asyncDispose]());

const configurations = '/apis/admissionregistration.k8s.io/v1';
const maps = '/api/v1/namespaces/default/configmaps';
async function call(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Any> {
  const response = await server.fetch(
    new Request(`http://localhost${path}`, {
      method,
      headers: { 'content-type': type },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
  const warning = response.headers.get('warning');
  return { ...((await response.json()) as object), code: response.status, warning };
}
beforeEach(async () => {
  for (const sort of ['validating', 'mutating'])
    for (const part of ['policies', 'policybindings'])
      await call('DELETE', `${configurations}/${sort}admission${part}`);
  await call('DELETE', maps);
});
const constraints = {
  resourceRules: [
    { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['configmaps'] },
  ],
};
async function put(sort: 'validating' | 'mutating', name: string, spec: object, binding: object = {}): Promise<void> {
  const policy = { metadata: { name }, spec: { matchConstraints: constraints, ...spec } };
  const actions = sort === 'validating' ? { validationActions: ['Deny'] } : {};
  const bound = { metadata: { name: `${name}-b` }, spec: { policyName: name, ...actions, ...binding } };
  expect((await call('POST', `${configurations}/${sort}admissionpolicies`, policy)).message).toBeUndefined();
  expect((await call('POST', `${configurations}/${sort}admissionpolicybindings`, bound)).message).toBeUndefined();
}
const map = (name: string, data: Record<string, string> = { a: '1' }, labels?: Record<string, string>) => ({
  metadata: { name, ...(labels && { labels }) },
  data,
});

describe('validating policies', () => {
  test('deny in the words of their messages, with variables, parameters and the namespace', async () => {
    await call('POST', maps, map('params', { max: '3' }));
    await put(
      'validating',
      'p',
      {
        paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
        matchConditions: [{ name: 'not-the-params', expression: 'object.metadata.name != params.metadata.name' }],
        variables: [
          { name: 'size', expression: 'size(object.data)' },
          { name: 'most', expression: 'int(params.data.max)' },
          { name: 'fits', expression: 'variables.size <= variables.most' },
        ],
        validations: [
          { expression: 'variables.fits', messageExpression: '"at most " + string(variables.most) + " keys"' },
          { expression: '!("bad" in object.data)', message: 'nothing bad', reason: 'Forbidden' },
          { expression: 'namespaceObject.metadata.name == "default"' },
          { expression: 'object.data.all(k, object.data[k] != "x")' },
        ],
      },
      { paramRef: { name: 'params', namespace: 'default', parameterNotFoundAction: 'Deny' } },
    );
    expect((await call('POST', maps, map('ok'))).code).toBe(201);
    const by = `ValidatingAdmissionPolicy 'p' with binding 'p-b' denied request: `;
    expect(await call('POST', maps, map('many', { a: '', b: '', c: '', d: '' }))).toMatchObject({
      code: 422,
      reason: 'Invalid',
      message: `configmaps "many" is forbidden: ${by}at most 3 keys`,
      details: { name: 'many', kind: 'configmaps', causes: [{ message: `${by}at most 3 keys` }] },
    });
    expect(await call('POST', maps, map('bad', { bad: '' }))).toMatchObject({
      code: 403,
      reason: 'Forbidden',
      message: `configmaps "bad" is forbidden: ${by}nothing bad`,
    });
    expect((await call('POST', maps, map('x', { a: 'x' }))).message).toEndWith(
      'failed expression: object.data.all(k, object.data[k] != "x")',
    );
    await call('DELETE', `${maps}/params`);
    expect((await call('POST', maps, map('later'))).message).toEndWith(
      'failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction',
    );
  });

  test('warn, and pass over what fails when they are to', async () => {
    const validations = [{ expression: 'object.data.none == "x"' }];
    await put('validating', 'open', { failurePolicy: 'Ignore', validations });
    await put(
      'validating',
      'warning',
      { validations: [{ expression: 'false', message: 'mind' }] },
      { validationActions: ['Warn'] },
    );
    expect(await call('POST', maps, map('a'))).toMatchObject({
      code: 201,
      warning: `299 - "Validation failed for ValidatingAdmissionPolicy 'warning' with binding 'warning-b': mind"`,
    });
    await put('validating', 'closed', { validations });
    expect((await call('POST', maps, map('b'))).message).toContain(
      `expression 'object.data.none == "x"' resulted in error: no such key: none`,
    );
  });

  test('choose what they are about; bindings narrow it', async () => {
    await put(
      'validating',
      'p',
      { validations: [{ expression: 'false' }] },
      { matchResources: { objectSelector: { matchLabels: { on: 'yes' } } } },
    );
    expect((await call('POST', maps, map('a'))).code).toBe(201);
    expect((await call('POST', maps, map('b', {}, { on: 'yes' }))).code).toBe(422);
    const excluded = {
      ...constraints,
      excludeResourceRules: [{ ...constraints.resourceRules[0], resourceNames: ['free'] }],
    };
    await put('validating', 'q', { matchConstraints: excluded, validations: [{ expression: 'false' }] });
    expect((await call('POST', maps, map('c'))).code).toBe(422);
    expect((await call('POST', maps, map('free'))).code).toBe(201);
  });

  test('ask what somebody may do', async () => {
    const may = (verb: string) => `authorizer.group("").resource("pods").namespace("x").check("${verb}").allowed()`;
    const account = `authorizer.serviceAccount("a", "b").group("").resource("pods").check("get").allowed()`;
    await put('validating', 'p', {
      validations: [
        { expression: `${may('get')} && !${account}` },
        { expression: 'request.userInfo.username == "admin"' },
      ],
    });
    expect((await call('POST', maps, map('a'))).message).toBeUndefined();
  });

  test('are refused where an expression is wrong', async () => {
    const policy = {
      metadata: { name: 'p' },
      spec: {
        matchConstraints: constraints,
        variables: [{ name: 'v', expression: '1' }],
        validations: [{ expression: 'variables.v' }, { expression: 'foo' }, { expression: 'request.none == 1' }],
      },
    };
    const { details } = await call('POST', `${configurations}/validatingadmissionpolicies`, policy);
    expect(details.causes.map(({ field, message }: Any) => `${field}: ${message}`)).toEqual([
      'spec.validations[0].expression: Invalid value: "variables.v": must evaluate to bool but got int',
      `spec.validations[1].expression: Invalid value: "foo": compilation failed: ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo\n | ^`,
      `spec.validations[2].expression: Invalid value: "request.none == 1": compilation failed: ERROR: <input>:1:8: undefined field 'none'\n | request.none == 1\n | .......^`,
    ]);
  });
});

describe('mutating policies', () => {
  const apply = (expression: string) => ({ patchType: 'ApplyConfiguration', applyConfiguration: { expression } });
  const json = (expression: string) => ({ patchType: 'JSONPatch', jsonPatch: { expression } });
  const policy = (...mutations: object[]) => ({ reinvocationPolicy: 'Never', mutations });

  test('lay configurations over the object and patch it', async () => {
    await put('mutating', 'm', {
      ...policy(
        apply('Object{metadata: Object.metadata{labels: {"made": "yes"}}, data: {"name": object.metadata.name}}'),
        json(
          '[JSONPatch{op: "test", path: "/data/name", value: "x"}, JSONPatch{op: "add", path: "/metadata/annotations", value: {"k": "v"}}, JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("a.b/c"), value: "d"}]',
        ),
      ),
    });
    expect(await call('POST', maps, map('x'))).toMatchObject({
      code: 201,
      metadata: { labels: { made: 'yes' }, annotations: { k: 'v', 'a.b/c': 'd' } },
      data: { a: '1', name: 'x' },
    });
    const other = await call('POST', maps, map('y'));
    expect(other).toMatchObject({ code: 201, data: { a: '1', name: 'y' } });
    expect(other.metadata.annotations).toBeUndefined();
  });

  test('cannot name what is not there, nor replace what is one piece', async () => {
    await put('mutating', 'm', policy(apply('Object{nothing: "x"}')));
    expect(await call('POST', maps, map('x'))).toMatchObject({
      code: 403,
      reason: 'Invalid',
      message:
        "policy 'm' with binding 'm-b' denied request: error applying patch: failed to convert patch object to typed object: .nothing: field not declared in schema",
    });
  });

  test('are asked again after another one changed the object', async () => {
    await put('mutating', 'a', {
      ...policy(apply('Object{data: {"seen": has(object.data.late) ? "late" : "no"}}')),
      reinvocationPolicy: 'IfNeeded',
    });
    await put('mutating', 'b', policy(apply('Object{data: {"late": "yes"}}')));
    expect((await call('POST', maps, map('x'))).data).toEqual({ a: '1', seen: 'late', late: 'yes' });
  });
});
