import { maps } from './world.ts';

/** One hostile request and what has to come of it. */
export interface Attack {
  readonly name: string;
  readonly method?: string;
  readonly path?: string;
  readonly type?: string;
  readonly headers?: Record<string, string>;
  /** Made when it is sent: some are megabytes. */
  readonly body?: () => string | Uint8Array<ArrayBuffer>;
  readonly code: number;
  readonly reason?: string;
  /** Part of the message; upstream's where upstream refuses too. */
  readonly message?: string;
}
export const megabyte = 1024 * 1024;
const map = (extra: string, name = 'hostile') =>
  `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${name}"}${extra}}`;
const many = (count: number, one: (index: number) => string) => Array.from({ length: count }, (_, i) => one(i)).join();
const post = { method: 'POST', path: `${maps}?dryRun=All` };
const bad = { code: 400, reason: 'BadRequest' };
const large = { code: 413, reason: 'RequestEntityTooLarge' };
const invalid = { code: 422, reason: 'Invalid' };
const tooMany = 'the body has more than 65536 values';
const notKept = 'is too large to be kept exactly';

export const json: readonly Attack[] = [
  {
    name: 'oversize',
    body: () => map(`,"data":{"a":"${'x'.repeat(4 * megabyte)}"}`),
    ...large,
    message: 'Request entity too large: limit is 3145728',
  },
  { name: 'depth of a million', body: () => '['.repeat(1e6), ...bad, message: 'nested deeper than 100' },
  { name: 'depth of five million objects', body: () => '{"a":'.repeat(5e5), ...bad, message: 'nested deeper than 100' },
  { name: 'a million empty objects', body: () => map(`,"x":[${'{},'.repeat(1e6)}{}]`), ...large, message: tooMany },
  { name: 'a million numbers', body: () => map(`,"x":[${'1,'.repeat(1e6)}1]`), ...large, message: tooMany },
  { name: '200,000 keys', body: () => map(`,"data":{${many(2e5, (i) => `"k${i}":"a"`)}}`), ...large, message: tooMany },
  {
    name: '400,000 duplicates',
    body: () => map(`,"data":{${'"a":"",'.repeat(4e5)}"a":""}`),
    ...large,
    message: tooMany,
  },
  {
    name: 'a million mistakes',
    body: () => `{"metadata":{"ownerReferences":[${'{},'.repeat(9e5)}{}]}}`,
    ...large,
    message: tooMany,
  },
  {
    name: '5,000 mistakes',
    body: () => `{"metadata":{"name":"a","ownerReferences":[${'{},'.repeat(5e3)}{}]}}`,
    ...invalid,
    message: 'and 19748 more]',
  },
  { name: 'a number of three million digits', body: () => map(`,"x":${'1'.repeat(3e6)}`), ...bad, message: notKept },
  { name: '10^30', body: () => map(`,"x":1${'0'.repeat(30)}1`), ...bad, message: notKept },
  {
    name: '2^53+1',
    body: () => map(',"x":9007199254740993'),
    ...bad,
    message: 'the number 9007199254740993 is too large to be kept exactly',
  },
  { name: '1e400', body: () => map(',"x":1e400'), ...bad, message: notKept },
  { name: '-1e999', body: () => map(',"x":-1e999'), ...bad, message: notKept },
  { name: '__proto__ as a key', body: () => map(',"data":{"__proto__":"x"}'), ...bad, message: '__proto__' },
  { name: '__proto__ in escapes', body: () => map(',"data":{"\\u005f_proto__":"x"}'), ...bad, message: '__proto__' },
  { name: '__proto__ at the top', body: () => '{"__proto__":{"isAdmin":true}}', ...bad, message: '__proto__' },
  {
    name: 'constructor is a name like others',
    body: () => map(',"data":{"constructor":"x","toString":"y"}'),
    code: 201,
  },
  {
    name: 'a duplicate under Strict',
    path: `${maps}?fieldValidation=Strict`,
    body: () => map(',"data":{"a":"1","a":"2"}'),
    ...bad,
    message: 'strict decoding error: duplicate field "data.a"',
  },
  {
    name: 'invalid UTF-8',
    body: () => new Uint8Array(Buffer.from(map(',"data":{"a":"\u00ff"}'), 'latin1')),
    ...bad,
    message: 'not valid UTF-8',
  },
  {
    name: 'a raw NUL',
    body: () => map(',"data":{"a":"\0"}'),
    ...bad,
    message: "couldn't get version/kind; json parse error",
  },
  { name: 'a NUL in a name', body: () => map('', 'a\\u0000'), ...invalid, message: 'a lowercase RFC 1123 subdomain' },
  {
    name: 'a lone surrogate as a key',
    body: () => map(',"data":{"\\ud800":"a"}'),
    ...invalid,
    message: 'a valid config key must consist of',
  },
  {
    name: 'gzip',
    headers: { 'content-encoding': 'gzip' },
    body: () => Bun.gzipSync(Buffer.alloc(100 * megabyte)),
    code: 415,
    reason: 'UnsupportedMediaType',
  },
  { name: 'nothing', body: () => '', ...bad, message: 'unexpected end of JSON input (<empty>)' },
  { name: 'a list', body: () => '[]', ...bad, message: 'json: cannot unmarshal array into Go value' },
  { name: 'an unknown type', type: 'text/evil', body: () => '{}', code: 415, reason: 'UnsupportedMediaType' },
].map((attack) => ({ ...post, ...attack }));

const deepYaml = '['.repeat(20_000);
export const yaml: readonly Attack[] = [
  { name: 'aliases', body: () => 'a: &a [x]\nb: *a\n', ...bad, message: 'aliases are not allowed' },
  {
    name: 'a billion laughs',
    body: () => `a: &a [x,x]\n${many(30, (i) => `b${i}: &b${i} [*a,*a]`).replaceAll(',b', '\nb')}`,
    ...bad,
  },
  {
    name: 'a merge key',
    body: () => 'metadata: {name: a}\ndata: {<<: {a: b}, x: y}\n',
    ...bad,
    message: 'cannot unmarshal',
  },
  { name: 'two documents', body: () => 'a: b\n---\nc: d\n', ...bad, message: 'several documents' },
  { name: 'infinity', body: () => 'x: .inf\n', ...bad, message: 'json: unsupported value: +Inf' },
  { name: 'no number', body: () => 'x: .nan\n', ...bad, message: 'json: unsupported value: NaN' },
  { name: '2^53+1', body: () => 'x: 9007199254740993\n', ...bad, message: 'the number 9007199254740993 is too large' },
  { name: 'a list as a key', body: () => '? [a, b]\n: c\n', ...bad, message: 'invalid map key' },
  { name: '__proto__', body: () => 'data: {__proto__: c}\n', ...bad, message: '__proto__' },
  { name: 'depth', body: () => deepYaml, ...bad },
  { name: 'depth in little', body: () => '- '.repeat(200), ...bad, message: 'nested deeper than 100' },
  { name: 'a tab', body: () => 'a:\n\t- b', ...bad, message: 'line 2' },
  { name: 'a foreign tag', body: () => 'metadata: {name: a}\ndata: {x: !!js/function "x"}\n', code: 201 },
  { name: 'a date stays a text', body: () => 'metadata: {name: a}\ndata: {x: 2001-12-14, y: 1:30}\n', code: 201 },
].map((attack) => ({ ...post, type: 'application/yaml', ...attack }));

const at = { method: 'PATCH', path: `${maps}/base?dryRun=All` };
const operations = { ...at, type: 'application/json-patch+json' };
const merge = { ...at, type: 'application/merge-patch+json' };
const strategic = { ...at, type: 'application/strategic-merge-patch+json' };
const rejected = 'the server rejected our request due to an error in our request';
const nameless = 'the name of the object (base based on URL) was undeterminable: name must be provided';
const repeated = (count: number, operation: object) => () => JSON.stringify(Array(count).fill(operation));
export const patches: readonly Attack[] = [
  {
    ...operations,
    name: '10,001 operations',
    body: repeated(10_001, { op: 'test', path: '/data/a', value: '1' }),
    ...large,
    message: 'Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001',
  },
  {
    ...operations,
    name: 'a copy bomb',
    body: () =>
      JSON.stringify([
        { op: 'add', path: '/data/b', value: 'x'.repeat(5e5) },
        ...Array(40).fill({ op: 'copy', from: '/data', path: '/data/x' }),
      ]),
    ...invalid,
    message: rejected,
  },
  {
    ...operations,
    name: 'copies that nest',
    body: repeated(16, { op: 'copy', from: '/data', path: '/data/x' }),
    ...invalid,
  },
  {
    ...operations,
    name: 'a hundred small copies',
    body: repeated(100, { op: 'copy', from: '/data/a', path: '/data/b' }),
    code: 200,
  },
  {
    ...operations,
    name: 'a deep pointer',
    body: () => JSON.stringify([{ op: 'add', path: '/a'.repeat(1e5), value: 1 }]),
    ...invalid,
    message: rejected,
  },
  { ...operations, name: 'a prototype', body: () => '[{"op":"add","path":"/data/__proto__","value":"1"}]', ...bad },
  {
    ...operations,
    name: 'the inherited',
    body: () => '[{"op":"add","path":"/data/toString/x","value":"1"}]',
    ...invalid,
  },
  {
    ...operations,
    name: 'no operation',
    body: () => '[1]',
    ...bad,
    message: 'error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp',
  },
  {
    ...operations,
    name: 'an unknown operation',
    body: () => '[{"op":"boom","path":"/a"}]',
    ...invalid,
    message: rejected,
  },
  {
    ...operations,
    name: 'a scalar for all',
    body: () => '[{"op":"replace","path":"","value":1}]',
    ...invalid,
    message: rejected,
  },
  { ...operations, name: 'no metadata', body: () => '[{"op":"remove","path":"/metadata"}]', ...bad, message: nameless },
  {
    ...merge,
    name: 'a list',
    body: () => '[]',
    ...bad,
    message: 'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}',
  },
  { ...merge, name: 'half a text', body: () => '{"a":', ...bad, message: 'invalid JSON patch' },
  { ...merge, name: 'no metadata', body: () => '{"metadata":null}', ...bad, message: nameless },
  {
    ...merge,
    name: 'metadata as a text',
    body: () => '{"metadata":"x"}',
    ...invalid,
    message: 'json: cannot unmarshal string into Go struct field ConfigMap.metadata',
  },
  {
    ...strategic,
    name: 'a directive with a toString',
    body: () => '{"data":{"$patch":{"toString":1}}}',
    ...bad,
    message: 'Unknown patch type',
  },
  {
    ...strategic,
    name: 'deletions that are no list',
    body: () => '{"metadata":{"$deleteFromPrimitiveList/finalizers":{}}}',
    code: 200,
  },
  {
    ...strategic,
    name: 'an order that is no list',
    body: () => '{"metadata":{"$setElementOrder/finalizers":[1,{}]}}',
    code: 200,
  },
  { ...strategic, name: 'keep nothing', body: () => '{"$retainKeys":["a"]}', ...bad, message: nameless },
  { ...strategic, name: 'replace by nothing', body: () => '{"$patch":"replace"}', ...bad, message: nameless },
  { ...strategic, name: 'an element that is no object', body: () => '{"metadata":{"ownerReferences":[1]}}', ...bad },
  { ...at, name: 'no patch', type: 'text/x', body: () => '', code: 415 },
];

const list = (query: string) => ({ path: `${maps}?${query}` });
const token = (text: string) => list(`limit=1&continue=${Buffer.from(text).toString('base64url')}`);
export const queries: readonly Attack[] = [
  {
    name: '10,000 label terms',
    ...list(`labelSelector=${encodeURIComponent(many(1e4, (i) => `k${i}=a`))}`),
    code: 200,
  },
  {
    name: '10,000 field terms',
    ...list(`fieldSelector=${encodeURIComponent(many(1e4, (i) => `metadata.name=a${i}`))}`),
    code: 200,
  },
  { name: 'a long key', ...list(`labelSelector=${'a.'.repeat(5e4)}`), ...bad, message: 'unable to parse requirement' },
  {
    name: 'half a set',
    ...list('labelSelector=a%20in%20('),
    ...bad,
    message: "unable to parse requirement: found '', expected: ',', ')' or identifier",
  },
  {
    name: 'backslashes',
    ...list(`fieldSelector=metadata.name=${'%5C'.repeat(50_001)}`),
    ...bad,
    message: 'invalid escape sequence',
  },
  { name: '100,000 parameters', ...list('a=b&'.repeat(1e5)), code: 200 },
  {
    name: 'a manager of control characters',
    method: 'PATCH',
    path: `${maps}/base?fieldManager=${'%01'.repeat(1000)}`,
    type: 'application/merge-patch+json',
    body: () => '{}',
    ...invalid,
  },
  ...['-1', '1e3', 'abc', '1.5'].map((text) => ({
    name: `version ${text}`,
    ...list(`resourceVersion=${text}`),
    ...bad,
    message: `strconv.ParseUint: parsing "${text}": invalid syntax`,
  })),
  { name: 'version 10^30', ...list(`resourceVersion=1${'0'.repeat(30)}`), ...bad, message: 'value out of range' },
  ...['abc', '1.5', '1e3'].map((text) => ({
    name: `limit ${text}`,
    ...list(`limit=${text}`),
    ...bad,
    message: `strconv.ParseInt: parsing "${text}": invalid syntax`,
  })),
  { name: 'limit 10^19', ...list(`limit=1${'0'.repeat(19)}`), ...bad, message: 'value out of range' },
  { name: 'limit -1', ...list('limit=-1'), code: 200 },
  { name: 'limit 2^63-1', ...list('limit=9223372036854775807'), code: 200 },
  { name: 'limit +5', ...list('limit=%2B5'), code: 200 },
  {
    name: 'a token of nothing',
    ...list('limit=1&continue=x'),
    ...bad,
    message: 'invalid continue token: continue key is not valid',
  },
  { name: 'a token of null', ...token('null'), ...bad, message: 'invalid continue token' },
  {
    name: 'a token that climbs',
    ...token('{"v":"meta.k8s.io/v1","rv":"1","start":"../../secrets/"}'),
    ...bad,
    message: 'invalid continue token',
  },
  {
    name: 'a token of another type',
    ...token('{"v":"meta.k8s.io/v1","rv":{},"start":[]}'),
    ...bad,
    message: 'invalid continue token',
  },
];

export const paths: readonly Attack[] = [
  { name: 'a slash in a name', path: `${maps}/a%2fb`, code: 400 },
  { name: 'a slash in a namespace', path: '/api/v1/namespaces/default%2fconfigmaps', code: 400 },
  { name: 'NUL', path: `${maps}/%00`, code: 400 },
  { name: 'half an escape', path: `${maps}/%`, code: 400 },
  { name: 'twice escaped dots', path: '/api/v1/namespaces/default/%252e%252e/secrets', code: 400 },
  { name: 'empty parts', path: '/api/v1//namespaces//default/configmaps', code: 404 },
  { name: 'a long name', path: `${maps}/${'a'.repeat(1e5)}`, code: 404, reason: 'NotFound' },
  { name: 'many parts', path: `/${'a/'.repeat(5e4)}`, code: 404 },
  {
    name: 'too many parts',
    path: `${maps}/a/b/c/d`,
    code: 404,
    reason: 'NotFound',
    message: 'the server could not find the requested resource',
  },
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty'].flatMap((word) =>
    [
      `${maps}/${word}`,
      `/api/v1/${word}`,
      `/api/${word}`,
      `/apis/${word}`,
      `/apis/${word}/v1/x`,
      `/openapi/v3/apis/${word}`,
      `${maps}/base/${word}`,
      `/healthz/${word}`,
    ].map((path) => ({ name: path, path, code: 404 })),
  ),
];

export const strangers: readonly Attack[] = [
  {
    name: 'YAML is not read',
    ...post,
    type: 'application/yaml',
    headers: { 'x-user': '' },
    body: () => deepYaml,
    code: 403,
    reason: 'Forbidden',
    message: 'User "system:anonymous" cannot create resource "configmaps"',
  },
  { name: 'JSON is not read', ...post, headers: { 'x-user': '' }, body: () => '[', code: 403, reason: 'Forbidden' },
  { name: 'two hosts', path: '/version', headers: { host: 'a, b' }, ...bad, message: 'malformed Host header' },
  {
    name: 'a host with a path',
    path: '/version',
    headers: { host: 'a/api/v1/secrets?' },
    ...bad,
    message: 'malformed Host header',
  },
];
