import { type Exchange, patch, post, put, remove, type Scenario } from '../scenario.ts';

type Json = Record<string, unknown>;
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const text = { type: 'string' };
const integer = { type: 'integer' };
const object = (properties: Json, more: Json = {}): Json => ({ type: 'object', properties, ...more });
const list = (items: Json, more: Json = {}): Json => ({ type: 'array', items, ...more });

/** In a group of the scenario's own. */
const definition = (versions: Json[], more: Json = {}): Json => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'foos.{ns}.example.com' },
  spec: {
    group: '{ns}.example.com',
    scope: 'Namespaced',
    names: { plural: 'foos', kind: 'Foo' },
    versions,
    ...more,
  },
});
const version = (spec: Json, more: Json = {}, root: Json = {}): Json => ({
  name: 'v1',
  served: true,
  storage: true,
  schema: {
    openAPIV3Schema: object({ spec, status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }, root),
  },
  ...more,
});
const foos = '/apis/{ns}.example.com/v1/namespaces/{ns}/foos';
const foo = (spec: unknown, name = 'a', more: Json = {}): Json => ({
  apiVersion: '{ns}.example.com/v1',
  kind: 'Foo',
  metadata: { name },
  spec,
  ...more,
});
const served = (path = foos): Exchange => ({ path, untilStatus: 200, compare: ['status'] });
/** The answer tells of conditions that upstream's controllers set when they come to it. */
const define = (body: Json): Exchange[] => [{ ...post(definitions, body), only: 'spec' }, served()];
const dry = `${definitions}?dryRun=All`;
const refuse = (...bodies: Json[]): Exchange[] => bodies.map((body) => post(dry, body));
const over = `${definitions}/foos.{ns}.example.com`;

const everything = object(
  {
    text: { ...text, minLength: 2, maxLength: 5, pattern: '^[a-z]+$' },
    mode: { ...text, enum: ['on', 'off'] },
    count: { ...integer, minimum: 1, maximum: 10, default: 3 },
    odd: { type: 'number', multipleOf: 0.5, exclusiveMinimum: true, minimum: 0 },
    port: { 'x-kubernetes-int-or-string': true },
    when: { ...text, format: 'date-time' },
    address: { ...text, format: 'ipv4' },
    flag: { type: 'boolean', nullable: true },
    tags: list(text, { 'x-kubernetes-list-type': 'set', maxItems: 3 }),
    parts: list(object({ name: text, size: { ...integer, default: 1 } }, { required: ['name'] }), {
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    }),
    labels: { type: 'object', additionalProperties: text, maxProperties: 2 },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    inner: object({ a: integer, b: integer }, { default: { a: 1 } }),
    whole: object({ a: integer, b: integer }, { 'x-kubernetes-map-type': 'atomic' }),
    one: { type: 'object', properties: { x: integer, y: integer }, oneOf: [{ required: ['x'] }, { required: ['y'] }] },
  },
  { required: ['mode'] },
);

const life: Scenario = {
  name: 'custom objects: what they hold',
  requests: [
    ...define(definition([version(everything)])),
    post(
      foos,
      foo({ mode: 'on', unknown: 1, parts: [{ name: 'x', more: 2 }], free: { any: [1] }, flag: null, text: null }),
    ),
    post(`${foos}?fieldValidation=Strict`, foo({ mode: 'on', unknown: 1 }, 'b')),
    post(foos, foo({}, 'b')),
    post(foos, foo({ mode: 'x', text: 'A', count: 0, odd: 0.3, port: 1.5, when: 'x', address: 'y' }, 'b')),
    post(foos, foo({ mode: 'on', text: 'abcdef', count: 11, odd: 0 }, 'b')),
    post(foos, foo({ mode: 'on', tags: ['a', 'a'], parts: [{ name: 'x' }, { name: 'x' }] }, 'b')),
    post(foos, foo({ mode: 'on', tags: ['a', 'b', 'c', 'd'], labels: { a: '1', b: '2', c: '3' } }, 'b')),
    post(foos, foo({ mode: 'on', parts: [{}], one: {} }, 'b')),
    post(foos, foo({ mode: 'on', one: { x: 1, y: 2 } }, 'b')),
    post(foos, foo({ mode: 1, count: 'x', tags: 'a', parts: {}, labels: { a: 1 }, inner: [] }, 'b')),
    post(foos, foo('text', 'b')),
    post(foos, foo([], 'b')),
    post(foos, { ...foo({ mode: 'on' }, 'b'), apiVersion: '{ns}.example.com/v2' }),
    post(foos, { ...foo({ mode: 'on' }, 'b'), kind: 'Bar' }),
    post(foos, { ...foo({ mode: 'on' }, 'b'), metadata: { name: 'B_' } }),
    post(foos, {
      ...foo({ mode: 'on' }, 'b'),
      metadata: { name: 'b', labels: { 'a b': 'c' }, annotations: { '': 'x' } },
    }),
    post(foos, { ...foo({ mode: 'on' }), metadata: { generateName: 'g-' } }),
    post(foos, foo({ mode: 'on' })),
    { path: `${foos}/a`, keep: { rv: 'metadata.resourceVersion' } },
    put(`${foos}/a`, foo({ mode: 'off' })),
    put(`${foos}/a`, { ...foo({ mode: 'off' }), metadata: { name: 'a', resourceVersion: '{rv}' } }),
    put(`${foos}/a`, { ...foo({ mode: 'off' }), metadata: { name: 'a', resourceVersion: '{rv}' } }),
    patch('merge', `${foos}/a`, { spec: { count: 5, tags: ['b', 'a'] } }),
    patch('merge', `${foos}/a`, { spec: { count: null } }),
    patch('merge', `${foos}/a`, { spec: { count: 99 } }),
    patch('strategic', `${foos}/a`, { spec: { count: 5 } }),
    patch('json', `${foos}/a`, [{ op: 'replace', path: '/spec/mode', value: 'on' }]),
    patch('json', `${foos}/a`, [{ op: 'add', path: '/spec/tags/-', value: 'a' }]),
    { path: `${foos}/none` },
    { path: foos },
    { path: `${foos}?fieldSelector=spec.mode%3Don` },
    { path: `${foos}?fieldSelector=metadata.name%3Da` },
    remove(`${foos}/a`),
    remove(`${foos}/a`),
  ],
};

const applying: Scenario = {
  name: 'custom objects: server-side apply',
  requests: [
    ...define(definition([version(everything)])),
    patch(
      'apply',
      `${foos}/a?fieldManager=m`,
      foo({ mode: 'on', parts: [{ name: 'x', size: 2 }], tags: ['a'], whole: { a: 1 } }),
    ),
    patch(
      'apply',
      `${foos}/a?fieldManager=n`,
      foo({ mode: 'on', parts: [{ name: 'y' }], tags: ['b'], inner: { b: 2 } }),
    ),
    patch('apply', `${foos}/a?fieldManager=n`, foo({ mode: 'off' })),
    patch('apply', `${foos}/a?fieldManager=n`, foo({ mode: 'on', parts: [{ name: 'x', size: 3 }] })),
    patch('apply', `${foos}/a?fieldManager=n`, foo({ mode: 'on', whole: { b: 2 } })),
    patch('apply', `${foos}/a?fieldManager=n&force=true`, foo({ mode: 'off', whole: { b: 2 }, tags: ['c'] })),
    patch('apply', `${foos}/a?fieldManager=m`, foo({ parts: [{ name: 'x', size: 2 }] })),
    patch('apply', `${foos}/a?fieldManager=m`, foo({ mode: 'off', unknown: 1 })),
    patch('apply', `${foos}/a?fieldManager=m&fieldValidation=Strict`, foo({ mode: 'off', unknown: 1 })),
    patch('apply', `${foos}/a?fieldManager=m`, foo({ mode: 'off', parts: [{ name: 'x' }, { name: 'x' }] })),
    patch('apply', `${foos}/a`, foo({ mode: 'off' })),
    patch('merge', `${foos}/a?fieldManager=o`, { spec: { count: 7 } }),
    { path: `${foos}/a` },
  ],
};

const rules: Scenario = {
  name: 'custom objects: rules',
  requests: [
    ...define(
      definition([
        version(
          object(
            {
              a: {
                ...integer,
                'x-kubernetes-validations': [
                  { rule: 'self < 10', messageExpression: "'not ' + (self > 20 ? 'at all' : 'now')" },
                ],
              },
              b: integer,
              fixed: {
                ...text,
                maxLength: 9,
                'x-kubernetes-validations': [
                  { rule: 'self == oldSelf', message: 'stays', reason: 'FieldValueForbidden' },
                ],
              },
              grown: {
                ...integer,
                'x-kubernetes-validations': [
                  {
                    rule: '!oldSelf.hasValue() || self >= oldSelf.value()',
                    optionalOldSelf: true,
                    reason: 'FieldValueRequired',
                  },
                ],
              },
              set: list(
                { ...text, maxLength: 5 },
                {
                  maxItems: 5,
                  'x-kubernetes-list-type': 'set',
                  'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'same set' }],
                },
              ),
              parts: list(
                object(
                  { k: { ...text, maxLength: 5 }, v: integer },
                  {
                    required: ['k'],
                    'x-kubernetes-validations': [
                      { rule: '!has(self.v) || !has(oldSelf.v) || self.v >= oldSelf.v', message: 'v grows' },
                    ],
                  },
                ),
                {
                  maxItems: 5,
                  'x-kubernetes-list-type': 'map',
                  'x-kubernetes-list-map-keys': ['k'],
                },
              ),
              dup: {
                ...text,
                maxLength: 5,
                'x-kubernetes-validations': [{ rule: "self != 'x'", reason: 'FieldValueDuplicate' }],
              },
              div: { ...integer, 'x-kubernetes-validations': [{ rule: '10 / self > 0' }] },
            },
            {
              'x-kubernetes-validations': [
                { rule: '!has(self.b) || self.b > self.a', message: 'b above a', fieldPath: '.b' },
                { rule: '!has(self.dup) || !has(self.fixed) || self.dup != self.fixed' },
              ],
            },
          ),
          { subresources: { status: {} } },
          {
            'x-kubernetes-validations': [
              { rule: "self.metadata.name.startsWith('a')", message: 'name' },
              { rule: "!self.metadata.name.endsWith('z') || self.kind == 'Bar'" },
            ],
          },
        ),
      ]),
    ),
    post(foos, foo({ a: 11 })),
    post(foos, foo({ a: 21, b: 1 })),
    post(foos, foo({ a: 5, b: 4, dup: 'x', div: 0 })),
    post(foos, foo({ a: 5 }, 'b')),
    post(foos, foo({ a: 5 }, 'az')),
    post(foos, foo({ a: 'x', dup: 'x' })),
    post(
      foos,
      foo({
        a: 5,
        fixed: 'f',
        grown: 3,
        set: ['a', 'b'],
        parts: [
          { k: 'x', v: 1 },
          { k: 'y', v: 2 },
        ],
        dup: 'f',
      }),
    ),
    post(
      foos,
      foo({
        a: 5,
        fixed: 'f',
        grown: 3,
        set: ['a', 'b'],
        parts: [
          { k: 'x', v: 1 },
          { k: 'y', v: 2 },
        ],
      }),
    ),
    patch('merge', `${foos}/a`, { spec: { fixed: 'g' } }),
    patch('merge', `${foos}/a`, { spec: { grown: 2 } }),
    patch('merge', `${foos}/a`, { spec: { set: ['b', 'a'] } }),
    patch('merge', `${foos}/a`, { spec: { set: ['b', 'c'] } }),
    patch('merge', `${foos}/a`, {
      spec: {
        parts: [
          { k: 'y', v: 1 },
          { k: 'x', v: 3 },
        ],
      },
    }),
    patch('merge', `${foos}/a/status`, { status: { x: 1 } }),
    patch('merge', `${foos}/a`, { spec: { fixed: null } }),
    patch('merge', `${foos}/a`, { spec: { fixed: 'new' } }),
  ],
};

const ratcheted = (more: Json): Json =>
  definition([
    version(
      object({
        a: { ...text, ...more },
        b: integer,
        l: list(object({ k: text, v: { ...text, ...more } }, { required: ['k'] }), {
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['k'],
        }),
      }),
    ),
  ]);
const ratcheting: Scenario = {
  name: 'custom objects: what was stored before is let be',
  requests: [
    ...define(ratcheted({})),
    post(foos, foo({ a: 'long', l: [{ k: 'x', v: 'long' }] })),
    { path: over, keep: { rv: 'metadata.resourceVersion' }, compare: ['status'] },
    {
      ...put(over, {
        ...ratcheted({ maxLength: 2 }),
        metadata: { name: 'foos.{ns}.example.com', resourceVersion: '{rv}' },
      }),
      only: 'spec.versions',
    },
    { ...post(`${foos}?dryRun=All`, foo({ a: 'long' }, 'probe')), untilStatus: 422 },
    patch('merge', `${foos}/a`, { spec: { b: 1 } }),
    patch('merge', `${foos}/a`, { spec: { a: 'longer' } }),
    patch('merge', `${foos}/a`, {
      spec: {
        l: [
          { k: 'x', v: 'long' },
          { k: 'y', v: 'ok' },
        ],
      },
    }),
    patch('merge', `${foos}/a`, { spec: { l: [{ k: 'z', v: 'long' }] } }),
    { path: `${foos}/a` },
  ],
};

const subresources: Scenario = {
  name: 'custom objects: status, scale, columns, selectable fields',
  requests: [
    ...define(
      definition(
        [
          version(object({ replicas: integer, color: text, on: { type: 'boolean' }, n: integer }), {
            subresources: {
              status: {},
              scale: {
                specReplicasPath: '.spec.replicas',
                statusReplicasPath: '.status.replicas',
                labelSelectorPath: '.status.selector',
              },
            },
            selectableFields: [{ jsonPath: '.spec.color' }, { jsonPath: '.spec.on' }, { jsonPath: '.spec.n' }],
            additionalPrinterColumns: [
              { name: 'Color', type: 'string', jsonPath: '.spec.color', description: 'Its colour.' },
              { name: 'N', type: 'integer', jsonPath: '.spec.n', priority: 1 },
              { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
              { name: 'All', type: 'string', jsonPath: '.status.conditions[*].type' },
              { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
            ],
          }),
        ],
        { names: { plural: 'foos', kind: 'Foo', singular: 'foo', shortNames: ['fo'], categories: ['all'] } },
      ),
    ),
    post(foos, { ...foo({ replicas: 1, color: 'red', on: true, n: 3 }), status: { replicas: 9 } }),
    post(foos, foo({ color: 'blue' }, 'b')),
    put(`${foos}/a/status`, {
      ...foo({ replicas: 5 }),
      status: {
        replicas: 2,
        selector: 'a=b',
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'Other', status: 'False' },
        ],
      },
    }),
    { path: `${foos}/a/status` },
    patch('merge', `${foos}/a/status`, { metadata: { labels: { x: 'y' } }, status: { replicas: 3 } }),
    { path: `${foos}/a/scale` },
    { path: `${foos}/b/scale` },
    patch('merge', `${foos}/a/scale`, { spec: { replicas: 7 } }),
    patch('merge', `${foos}/a/scale`, { spec: { replicas: -1 } }),
    put(`${foos}/a/scale`, {
      apiVersion: 'autoscaling/v1',
      kind: 'Scale',
      metadata: { name: 'a' },
      spec: { replicas: 4 },
    }),
    { path: `${foos}/a` },
    { path: foos, headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } },
    { path: `${foos}/a`, headers: { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' } },
    { path: foos, headers: { accept: 'application/vnd.kubernetes.protobuf' } },
    { path: `${foos}?fieldSelector=spec.color%3Dred` },
    { path: `${foos}?fieldSelector=spec.on%3Dtrue,spec.n%3D3` },
    { path: `${foos}?fieldSelector=spec.color!%3Dred` },
    { path: `${foos}?fieldSelector=spec.replicas%3D1` },
    { path: '/apis/{ns}.example.com' },
    { path: '/apis/{ns}.example.com/v1' },
    { path: '/apis/{ns}.example.com/v2' },
    { path: '/apis/{ns}.example.com/v1/namespaces/{ns}/bars' },
    { ...remove(foos), compare: ['status', 'type'] },
  ],
};

const versions: Scenario = {
  name: 'custom objects: versions',
  requests: [
    ...define(
      definition([
        version(object({ color: text })),
        version(object({ color: text, size: { ...integer, default: 5 } }), {
          name: 'v2',
          storage: false,
          deprecated: true,
        }),
        version(object({ color: text }), { name: 'v3', storage: false, served: false }),
        version(object({ color: text }), {
          name: 'v1beta1',
          storage: false,
          deprecated: true,
          deprecationWarning: 'use v1',
        }),
      ]),
    ),
    post(foos, foo({ color: 'red', size: 1 })),
    { path: '/apis/{ns}.example.com/v2/namespaces/{ns}/foos/a' },
    { path: '/apis/{ns}.example.com/v3/namespaces/{ns}/foos/a' },
    { path: '/apis/{ns}.example.com/v1beta1/namespaces/{ns}/foos/a' },
    { path: '/apis/{ns}.example.com/v2/namespaces/{ns}/foos' },
    { path: '/apis/{ns}.example.com' },
    post('/apis/{ns}.example.com/v2/namespaces/{ns}/foos', {
      ...foo({ size: 7 }, 'b'),
      apiVersion: '{ns}.example.com/v2',
    }),
    { path: `${foos}/b` },
  ],
};

const schemaOf = (schema: Json): Json => definition([version(object({ x: schema }))]);
const refusals: Scenario = {
  name: 'definitions that are refused',
  requests: [
    ...refuse(
      definition([]),
      definition([version({}, { storage: false })]),
      definition([version(object({})), version(object({}), { name: 'v1' })]),
      definition([version(object({}), { name: 'V_1' })]),
      { ...definition([version(object({}))]), metadata: { name: 'bars.{ns}.example.com' } },
      definition([version(object({}))], { scope: 'Global' }),
      definition([version(object({}))], { names: { plural: 'Foos', kind: 'foo bar', shortNames: ['F O'] } }),
      definition([version(object({}))], { preserveUnknownFields: true }),
      definition([version(object({}), { schema: undefined })]),
      definition([version(object({}), { deprecationWarning: 'x' })]),
      definition([
        version(object({}), {
          additionalPrinterColumns: [
            { name: 'a', type: 'text', jsonPath: 'x' },
            { name: '', type: 'string', jsonPath: '.a' },
          ],
        }),
      ]),
      definition([
        version(object({}), { subresources: { scale: { specReplicasPath: 'x', statusReplicasPath: '.spec.y' } } }),
      ]),
      definition([
        version(object({ a: object({}) }), {
          selectableFields: [{ jsonPath: '.spec.a' }, { jsonPath: '.spec.none' }, { jsonPath: '.metadata.name' }],
        }),
      ]),
      definition([version(object({}))], { conversion: { strategy: 'Webhook' } }),
      definition([version(object({}))], {
        conversion: {
          strategy: 'Webhook',
          webhook: { clientConfig: { url: 'http://x/?a#b' }, conversionReviewVersions: ['v7'] },
        },
      }),
      definition([version(object({}))], {
        conversion: {
          strategy: 'Webhook',
          webhook: {
            clientConfig: { service: { namespace: '', name: '', port: 0, path: 'a//b' } },
            conversionReviewVersions: ['v1', 'v1'],
          },
        },
      }),
      definition([version(object({}))], { conversion: { strategy: 'Plain' } }),
      definition([version(object({}))], {
        conversion: {
          strategy: 'None',
          webhook: { clientConfig: { url: 'https://x' }, conversionReviewVersions: ['v1'] },
        },
      }),
      definition([version(object({}))], { group: 'foo' }),
      { ...definition([version(object({}))], { group: 'x.k8s.io' }), metadata: { name: 'foos.x.k8s.io' } },
    ),
    ...[
      {},
      { type: 'null' },
      { type: 'text' },
      { type: 'array' },
      { type: 'array', items: [text] },
      { ...list(text), uniqueItems: true },
      { ...integer, default: 'x' },
      { ...object({ a: integer }), default: { a: 1, b: 2 } },
      { ...text, pattern: '[' },
      { type: 'object', properties: { a: text }, additionalProperties: text },
      { type: 'object', additionalProperties: false },
      { ...list(text), 'x-kubernetes-list-type': 'bag' },
      { ...list(text), 'x-kubernetes-list-type': 'map' },
      { ...list(object({ a: text })), 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['a', 'b'] },
      { ...list(object({})), 'x-kubernetes-list-type': 'set' },
      { ...text, 'x-kubernetes-list-type': 'set', 'x-kubernetes-map-type': 'whole' },
      { 'x-kubernetes-preserve-unknown-fields': false, type: 'object' },
      { 'x-kubernetes-int-or-string': true, type: 'string' },
      {
        type: 'object',
        'x-kubernetes-embedded-resource': true,
        properties: { metadata: object({ name: text, a: text }) },
      },
      { ...object({ a: text }), anyOf: [{ properties: { b: { type: 'string' } } }] },
      { ...object({ a: text }), anyOf: [{ properties: { b: {} } }], not: { required: ['a'], description: 'x' } },
      { $ref: '#/x', type: 'object' },
      { ...text, format: 'odd', nullable: true, default: null },
      {
        ...integer,
        'x-kubernetes-validations': [
          { rule: '' },
          { rule: 'self.x' },
          { rule: 'self' },
          { rule: 'self > 0', message: 'a\nb' },
          { rule: 'self > 0', reason: 'Bad' },
          { rule: 'self > 0', messageExpression: '1' },
        ],
      },
      list({ ...integer, 'x-kubernetes-validations': [{ rule: 'self == oldSelf' }] }),
      { ...integer, 'x-kubernetes-validations': [{ rule: 'self > 0', optionalOldSelf: true }] },
      {
        ...object({ a: integer }),
        'x-kubernetes-validations': [
          { rule: 'self.a > 0', fieldPath: '.b' },
          { rule: 'self.a > 0', fieldPath: '.a' },
        ],
      },
    ].map((schema) => post(dry, schemaOf(schema as Json))),
    post(
      dry,
      definition([version(object({}), { subresources: { status: {} } }, { required: ['spec'], minProperties: 1 })]),
    ),
    post(dry, definition([version(object({ a: text }), {}, { nullable: true })])),
    post(dry, definition([{ ...version(object({})), schema: { openAPIV3Schema: { type: 'string' } } }])),
    post(
      dry,
      definition([
        {
          ...version(object({})),
          schema: { openAPIV3Schema: object({ metadata: object({ name: text, labels: { type: 'object' } }) }) },
        },
      ]),
    ),
    post(
      dry,
      definition([
        { ...version(object({})), schema: { openAPIV3Schema: object({ kind: { ...text, default: 'x' } }) } },
      ]),
    ),
  ],
};

const updates: Scenario = {
  name: 'definitions that change',
  requests: [
    ...define(definition([version(object({ a: text }))])),
    { path: over, keep: { rv: 'metadata.resourceVersion' }, only: 'status.acceptedNames' },
    ...[
      definition([version(object({ a: text }))], { scope: 'Cluster' }),
      definition([version(object({ a: text }))], { names: { plural: 'foos', kind: 'Goo' } }),
      definition([version(object({ a: text }))], { group: 'other.example.com' }),
      definition([version(object({ a: text }), { name: 'v2' })]),
      definition([version(object({ a: text }))], { names: { plural: 'bars', kind: 'Foo' } }),
    ].map((body) =>
      put(`${over}?dryRun=All`, { ...body, metadata: { name: 'foos.{ns}.example.com', resourceVersion: '{rv}' } }),
    ),
    { ...patch('merge', `${over}/status?dryRun=All`, { status: { storedVersions: [] } }), compare: ['status'] },
    {
      ...patch('merge', `${over}/status?dryRun=All`, {
        status: { storedVersions: ['v9'] },
        spec: { scope: 'Cluster' },
      }),
      only: 'spec.scope',
    },
    { path: `${over}/scale` },
    patch('strategic', over, { spec: {} }),
    {
      path: `${definitions}?limit=1`,
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
      only: 'columnDefinitions',
    },
    { ...remove(over), compare: ['status'] },
    { path: over, untilStatus: 404 },
    { path: foos, untilStatus: 404 },
  ],
};

/** Definitions and the objects that they define. */
export const custom: readonly Scenario[] = [
  life,
  applying,
  rules,
  ratcheting,
  subresources,
  versions,
  refusals,
  updates,
].map((scenario) => ({ ...scenario, requests: scenario.requests.map((one) => ({ anyOrder: true, ...one })) }));
