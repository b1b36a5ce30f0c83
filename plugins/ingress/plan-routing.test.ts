import { describe, expect, test } from 'bun:test';
import { compile } from './builtin/table.ts';
import type { Condition, Routing } from './model.ts';
import { defaultLimits } from './model.ts';
import {
  type IngressClassObject,
  type IngressObject,
  isOurs,
  type KnownCertificate,
  planRouting,
  type RoutingView,
} from './plan-routing.ts';

const classes = [
  { metadata: { name: 'pintle' }, spec: { controller: 'ingress.pintle.dev/controller' } },
  { metadata: { name: 'nginx' }, spec: { controller: 'k8s.io/ingress-nginx' } },
] as unknown as IngressClassObject[];
const service = (name: string, number = 80) => ({ service: { name, port: { number } } });
type Path = readonly [path: string, backend: string, pathType?: string];

let age = 0;
/** `host` → its paths, in the order of creation. */
function ingress(name: string, rules: Readonly<Record<string, readonly Path[]>>, more: object = {}): IngressObject {
  const { annotations, namespace = 'shop', ...spec } = more as { annotations?: object; namespace?: string };
  return {
    metadata: { name, namespace, annotations, creationTimestamp: new Date(age++ * 1000).toISOString() },
    spec: {
      ingressClassName: 'pintle',
      rules: Object.entries(rules).map(([host, paths]) => ({
        ...(host ? { host } : {}),
        http: { paths: paths.map(([path, to, pathType = 'Prefix']) => ({ path, pathType, backend: service(to) })) },
      })),
      ...spec,
    },
  } as unknown as IngressObject;
}
const certificate = (...names: string[]): KnownCertificate => ({ version: '1', cert: 'c', key: 'k', names });

function plan(ingresses: readonly IngressObject[], more: Partial<RoutingView> = {}) {
  return planRouting({
    ingresses,
    classes,
    service: (_namespace, name) =>
      name.startsWith('no')
        ? undefined
        : ({ spec: { type: name === 'ext' ? 'ExternalName' : 'ClusterIP', ports: [{ port: 80 }] } } as never),
    slices: (_namespace, name) =>
      [
        {
          addressType: 'IPv4',
          ports: [{ port: 8080 }],
          endpoints: [{ addresses: [name === 'evil' ? '169.254.169.254' : '10.0.0.1'] }],
        },
      ] as never,
    certificate: () => undefined,
    mayReach: (ip) => ip.startsWith('10.'),
    ...more,
  });
}
/** Which backend a request gets, by the table that the built-in driver uses; undefined: none. */
function asked(
  planned: ReturnType<typeof plan>,
  host: string,
  path: string,
  given: Readonly<Record<string, string>> = {},
): string | undefined {
  const routing = { ...planned, listeners: [], limits: defaultLimits } as unknown as Routing;
  const has = (condition: Condition) => condition.type !== 'method' && given[condition.name] === condition.value;
  const action = compile(routing).find(host, path, has)?.action;
  if (action?.type !== 'forward') return action?.type === 'answer' ? String(action.status) : action?.type;
  return action.targets
    .map(({ backend, weight }) => `${/\/(.+?):/.exec(backend)![1]}${action.targets.length > 1 ? `=${weight}` : ''}`)
    .join(' ');
}
const told = (planned: ReturnType<typeof plan>, name: string) =>
  (planned.findings.get(name) ?? []).map(({ reason }) => reason);

describe('matching, as the Ingress API has it', () => {
  /** The table of the documentation: type, path of the rule, path of the request, whether it matches. */
  const rows: readonly [string, string, string, boolean][] = [
    ['Prefix', '/', '/anything', true],
    ['Exact', '/foo', '/foo', true],
    ['Exact', '/foo', '/bar', false],
    ['Exact', '/foo', '/foo/', false],
    ['Exact', '/foo/', '/foo', false],
    ['Prefix', '/foo', '/foo', true],
    ['Prefix', '/foo', '/foo/', true],
    ['Prefix', '/foo/', '/foo', true],
    ['Prefix', '/foo/', '/foo/', true],
    ['Prefix', '/aaa/bb', '/aaa/bbb', false],
    ['Prefix', '/aaa/bbb', '/aaa/bbb', true],
    ['Prefix', '/aaa/bbb/', '/aaa/bbb', true],
    ['Prefix', '/aaa/bbb', '/aaa/bbb/', true],
    ['Prefix', '/aaa/bbb', '/aaa/bbb/ccc', true],
    ['Prefix', '/aaa/bbb', '/aaa/bbbxyz', false],
    ['ImplementationSpecific', '/foo', '/foo/bar', true],
    ['ImplementationSpecific', '', '/x', true],
  ];
  test.each(rows)('%s %s and %s: %p', (type, path, request, isMatch) => {
    expect(asked(plan([ingress('a', { 'h.example': [[path, 'web', type]] })]), 'h.example', request)).toBe(
      isMatch ? 'web' : undefined,
    );
  });
  test('exact before prefix, the longer prefix first, an exact host before a wildcard, which is one label', () => {
    const one = ingress('a', {
      'h.example': [
        ['/', 'root'],
        ['/foo', 'foo'],
        ['/foo', 'exact', 'Exact'],
        ['/foo/bar', 'bar'],
      ],
      '*.h.example': [['/', 'wild']],
      'x.h.example': [['/', 'x']],
      '': [['/', 'any']],
    });
    const planned = plan([one]);
    const wanted = {
      'h.example /foo': 'exact',
      'h.example /foo/x': 'foo',
      'h.example /foo/bar/x': 'bar',
      'h.example /z': 'root',
      'x.h.example /': 'x',
      'y.h.example /': 'wild',
      'y.x.h.example /': 'any',
      'z /': 'any',
    };
    for (const [request, backend] of Object.entries(wanted)) {
      const [host = '', path = ''] = request.split(' ');
      expect([request, asked(planned, host, path)]).toEqual([request, backend]);
    }
    expect(told(planned, 'shop/a')).toEqual([]);
  });
});

test('classes: ours by its controller, the old annotation too; others and none are nobody’s', () => {
  const of = (more: object) => isOurs(ingress('a', {}, more), classes);
  expect(of({})).toBe(true);
  expect(of({ ingressClassName: 'nginx' })).toBe(false);
  expect(of({ ingressClassName: 'gone' })).toBe(false);
  expect(of({ ingressClassName: undefined })).toBe(false);
  expect(of({ ingressClassName: undefined, annotations: { 'kubernetes.io/ingress.class': 'pintle' } })).toBe(true);
  expect(told(plan([ingress('b', { h: [['/', 'web']] }, { ingressClassName: 'nginx' })]), 'shop/b')).toEqual([]);
});

test('default backends: of an Ingress with rules for its hosts, without rules for all, of the settings for the rest', () => {
  const own = ingress('own', { 'h.example': [['/a', 'web']] }, { defaultBackend: service('rest') });
  const all = ingress('all', {}, { defaultBackend: service('all') });
  expect(asked(plan([own]), 'h.example', '/a')).toBe('web');
  expect(asked(plan([own]), 'h.example', '/b')).toBe('rest');
  expect(asked(plan([own]), 'other.example', '/')).toBeUndefined();
  expect(asked(plan([own, all]), 'other.example', '/')).toBe('all');
  const { fallback } = plan([own], { defaultBackend: { namespace: 'x', name: 'last', port: 80 } });
  expect(fallback).toEqual({ type: 'forward', targets: [{ backend: 'x/last:80', weight: 1 }] });
});

test('of two claims the older one counts, whatever the order they are read in, and the other is told', () => {
  const [old, young] = [
    ingress('old', { h: [['/', 'first']] }),
    ingress('young', {
      h: [
        ['/', 'second'],
        ['/own', 'third'],
      ],
    }),
  ];
  for (const list of [
    [old, young],
    [young, old],
  ]) {
    const planned = plan(list);
    expect(asked(planned, 'h', '/')).toBe('first');
    expect(asked(planned, 'h', '/own')).toBe('third');
    expect([told(planned, 'shop/old'), told(planned, 'shop/young')]).toEqual([[], ['Conflict']]);
  }
  expect(asked(plan([young]), 'h', '/')).toBe('second');
});

test('backends that cannot be: 503 for that path, a word for its author, and nobody else is harmed', () => {
  const planned = plan([
    ingress('a', {
      h: [
        ['/no', 'none'],
        ['/ext', 'ext'],
        ['/fine', 'web'],
      ],
    }),
    ingress('b', { h: [['/port', 'web']] }),
  ]);
  expect(asked(planned, 'h', '/no')).toBe('503');
  expect(asked(planned, 'h', '/ext')).toBe('503');
  expect(asked(planned, 'h', '/fine')).toBe('web');
  expect(told(planned, 'shop/a')).toEqual(['BackendNotFound', 'BackendNotFound']);
  expect(planned.findings.get('shop/a')!.map(({ message }) => message)).toEqual([
    'the Service shop/none is not there',
    'the Service shop/ext is but a name of another host',
  ]);
  const resource = ingress('r', {}, { defaultBackend: { resource: { kind: 'Bucket', name: 'x' } } });
  expect(told(plan([resource]), 'shop/r')).toEqual(['BackendNotFound']);
});

test('endpoints where nothing of this cluster should be are left out', () => {
  const { backends } = plan([
    ingress('a', {
      h: [
        ['/evil', 'evil'],
        ['/web', 'web'],
      ],
    }),
  ]);
  expect(backends.map(({ id, endpoints }) => [id, endpoints])).toEqual([
    ['shop/evil:80', []],
    ['shop/web:80', [{ ip: '10.0.0.1', port: 8080 }]],
  ]);
});

describe('certificates', () => {
  const secured = (name: string, hosts: readonly string[] | undefined, more: object = {}) =>
    ingress(name, { 'h.example': [['/', 'web']] }, { tls: [{ hosts, secretName: 'tls' }], ...more });
  const known = (found: KnownCertificate | undefined) => ({ certificate: () => found });
  test('for the hosts that are named, else those of the rules; the path redirects', () => {
    for (const hosts of [['h.example'], undefined]) {
      const planned = plan([secured('a', hosts)], known(certificate('h.example')));
      expect(planned.certificates).toEqual([
        { id: 'shop/tls', version: '1', cert: 'c', key: 'k', names: ['h.example'] },
      ]);
      expect(planned.hosts[0]!.paths[0]!.routes[0]!.httpsRedirect).toBe(308);
    }
    const without = secured('a', ['h.example'], { annotations: { 'ingress.pintle.dev/ssl-redirect': 'false' } });
    expect(
      plan([without], known(certificate('h.example'))).hosts[0]!.paths[0]!.routes[0]!.httpsRedirect,
    ).toBeUndefined();
    expect(plan([secured('a', ['*.example'])], known(certificate('*.example'))).certificates[0]!.names).toEqual([
      '*.example',
    ]);
  });
  const bad: readonly [string, KnownCertificate | undefined][] = [
    ['none', undefined],
    ['one that cannot be used', { problem: 'has a tls.key that is no private key' }],
    ['one for another name', certificate('other.example')],
    ['a wildcard for another level', certificate('*.h.example')],
  ];
  test.each(bad)('%s: the default certificate, and a word', (_name, found) => {
    const planned = plan([secured('a', ['h.example'])], known(found));
    expect(planned.certificates).toEqual([]);
    expect(told(planned, 'shop/a')).toEqual(['CertificateNotUsable']);
    expect(asked(planned, 'h.example', '/')).toBe('web');
  });
  test('a name that an older Ingress of another namespace has keeps its certificate', () => {
    const planned = plan(
      [secured('a', ['h.example']), secured('b', ['h.example'], { namespace: 'evil' })],
      known(certificate('h.example')),
    );
    expect(planned.certificates.map(({ id }) => id)).toEqual(['shop/tls']);
    expect(told(planned, 'evil/b')).toEqual(['Conflict', 'Conflict']);
  });
});

describe('canaries', () => {
  const main = () => ingress('main', { h: [['/', 'web']] });
  const canary = (annotations: object, more: object = {}) =>
    ingress(
      'canary',
      { h: [['/', 'next']] },
      { annotations: { 'ingress.pintle.dev/canary': 'true', ...annotations }, ...more },
    );
  test('by weight', () => {
    expect(asked(plan([main(), canary({ 'ingress.pintle.dev/canary-weight': '10' })]), 'h', '/')).toBe(
      'web=90 next=10',
    );
    expect(asked(plan([main(), canary({ 'ingress.pintle.dev/canary-weight': '100' })]), 'h', '/')).toBe('next');
    expect(asked(plan([main(), canary({})]), 'h', '/')).toBe('web');
  });
  test('by header and cookie: always, never, a value', () => {
    const planned = plan([
      main(),
      canary({
        'ingress.pintle.dev/canary-header': 'X-Next',
        'ingress.pintle.dev/canary-cookie': 'next',
        'ingress.pintle.dev/canary-weight': '50',
      }),
    ]);
    expect(asked(planned, 'h', '/', { 'x-next': 'always' })).toBe('next');
    expect(asked(planned, 'h', '/', { 'x-next': 'never' })).toBe('web');
    expect(asked(planned, 'h', '/', { next: 'always' })).toBe('next');
    expect(asked(planned, 'h', '/', { next: 'never' })).toBe('web');
    expect(asked(planned, 'h', '/')).toBe('web=50 next=50');
    const valued = plan([
      main(),
      canary({ 'ingress.pintle.dev/canary-header': 'x-who', 'ingress.pintle.dev/canary-header-value': 'me' }),
    ]);
    expect(asked(valued, 'h', '/', { 'x-who': 'me' })).toBe('next');
    expect(asked(valued, 'h', '/', { 'x-who': 'always' })).toBe('web');
  });
  test('without a main one, of another namespace, and a second one: told, and not used', () => {
    expect(told(plan([canary({})]), 'shop/canary')).toEqual(['CanaryWithoutMain']);
    const foreign = plan([main(), canary({ 'ingress.pintle.dev/canary-weight': '100' }, { namespace: 'evil' })]);
    expect([told(foreign, 'evil/canary'), asked(foreign, 'h', '/')]).toEqual([['CanaryWithoutMain'], 'web']);
    const second = {
      ...canary({ 'ingress.pintle.dev/canary-weight': '9' }),
      metadata: {
        ...canary({}).metadata,
        name: 'second',
        annotations: { 'ingress.pintle.dev/canary': 'true', 'ingress.pintle.dev/canary-weight': '9' },
      },
    };
    expect(
      told(plan([main(), canary({ 'ingress.pintle.dev/canary-weight': '5' }), second as IngressObject]), 'shop/canary'),
    ).toEqual(['Conflict']);
  });
});

test('what annotations wish arrives in routes and backends', () => {
  const annotations = {
    'ingress.pintle.dev/rewrite-prefix': '/new/',
    'ingress.pintle.dev/response-timeout': '5s',
    'ingress.pintle.dev/backend-protocol': 'GRPC',
    'ingress.pintle.dev/body-size-max': '1Mi',
    'ingress.pintle.dev/connect-retries': '0',
  };
  const { hosts, backends } = plan([ingress('a', { h: [['/old', 'web']] }, { annotations })]);
  const route = hosts[0]!.paths[0]!.routes[0]!;
  expect(route.requestBodyBytesMax).toBe(1_048_576);
  expect(route.action).toMatchObject({ type: 'forward', replacePrefix: { from: '/old', to: '/new' } });
  expect(backends[0]).toMatchObject({ protocol: 'grpc', connectRetries: 0, timeouts: { responseMs: 5_000 } });
  const redirect = ingress(
    'r',
    { h: [['/', 'web']] },
    { annotations: { 'ingress.pintle.dev/redirect-to': 'https://new.example/x' } },
  );
  expect(plan([redirect]).hosts[0]!.paths[0]!.routes[0]!.action).toEqual({
    type: 'redirect',
    status: 302,
    scheme: 'https',
    host: 'new.example',
    path: '/x',
  });
});

test('two manners of speaking to one Service are two backends, the same manner is one', () => {
  const fast = ingress('fast', { f: [['/', 'web']] }, { annotations: { 'ingress.pintle.dev/response-timeout': '1s' } });
  const { backends } = plan([ingress('a', { a: [['/', 'web']] }), ingress('b', { b: [['/', 'web']] }), fast]);
  expect(backends.length).toBe(2);
  expect(new Set(backends.map(({ id }) => id)).size).toBe(2);
});
