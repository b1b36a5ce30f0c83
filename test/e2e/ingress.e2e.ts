// Ingresses on a real cluster, with stock kubectl, curl and openssl: both drivers, TLS that rotates, tunnels, gRPC, canaries, status and events.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '#base';
import { createAuthority, issueServing, type KeyPair } from '../../core/wire/pki.ts';
import { grpcCall } from '../fixtures/grpc-call.ts';
import { expectOk, lacking, runProgram, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = lacking() || (Bun.which('curl') && Bun.which('openssl') ? '' : 'needs curl and openssl');
if (why) skipped('e2e', 'ingress', why);
const drivers = [
  ['builtin', ''],
  ['haproxy', Bun.which('haproxy', { PATH: `${process.env['PATH']}:/usr/sbin` }) ? '' : 'haproxy is not installed'],
] as const;
for (const [driver, lack] of drivers) if (!why && lack) skipped('e2e', `ingress with ${driver}`, lack);

/** Answers its version and what it saw; `/ws` is a WebSocket; port 9090 is gRPC, more or less. */
const program = `
const name = process.env.VERSION;
const server = Bun.serve({ hostname: '0.0.0.0', port: 8080,
  fetch(request, own) {
    const { pathname } = new URL(request.url);
    if (pathname === '/ws' && own.upgrade(request)) return;
    return Response.json({ name, path: pathname, headers: Object.fromEntries(request.headers) });
  },
  websocket: { open: (socket) => socket.send(name), message: (socket, text) => socket.send(text) } });
const grpc = require('node:http2').createServer();
grpc.on('stream', (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(name);
});
grpc.listen(9090, '0.0.0.0');
process.on('SIGTERM', () => process.exit(0));`;

const cluster = new TestCluster();
const kubectl = async (...words: string[]) => expectOk(await cluster.kubectl(words)).trim();
const apply = async (...objects: object[]) =>
  expectOk(
    await cluster.kubectl(['apply', '-f', '-'], {
      stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
    }),
  );
const app = (name: string): object[] => [
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'web',
          image: 'pintle/demo:local',
          imagePullPolicy: 'IfNotPresent',
          command: ['bun', '--smol', '-e', program],
          env: [{ name: 'VERSION', value: name }],
          readinessProbe: { tcpSocket: { port: 9090 }, periodSeconds: 1 },
        },
      ],
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: {
      selector: { app: name },
      ports: [
        { name: 'http', port: 80, targetPort: 8080 },
        { name: 'grpc', port: 9090, targetPort: 9090 },
      ],
    },
  },
];
const ingress = (
  name: string,
  host: string,
  service: string,
  more: { annotations?: Record<string, string>; tls?: string; port?: string; path?: string } = {},
): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'Ingress',
  metadata: { name, annotations: more.annotations ?? {} },
  spec: {
    rules: [
      {
        host,
        http: {
          paths: [
            {
              path: more.path ?? '/',
              pathType: 'Prefix',
              backend: { service: { name: service, port: { name: more.port ?? 'http' } } },
            },
          ],
        },
      },
    ],
    ...(more.tls ? { tls: [{ hosts: [host], secretName: more.tls }] } : {}),
  },
});
const secret = (name: string, { cert, key }: KeyPair): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'kubernetes.io/tls',
  metadata: { name },
  data: { 'tls.crt': btoa(cert), 'tls.key': btoa(key) },
});

let ip = '';
const curl = async (...words: string[]) => (await runProgram(['curl', '-s', '--max-time', '10', ...words])).out;
const at = (host: string, path = '/') => curl('-H', `Host: ${host}`, `http://${ip}${path}`);
const nameAt = async (host: string, ...words: string[]): Promise<string> => {
  const text = await curl(...words, '-H', `Host: ${host}`, `http://${ip}/`);
  try {
    return (JSON.parse(text) as { name: string }).name;
  } catch {
    return text.trim();
  }
};
const subjectFor = async (host: string): Promise<string> => {
  const words = ['openssl', 's_client', '-connect', `${ip}:443`, '-servername', host];
  return /subject=.*?CN ?= ?([^\n,/]+)/.exec((await runProgram(words, { stdin: '' })).out)?.[1] ?? '';
};
const events = (name: string) =>
  kubectl(
    'get',
    'events',
    '--field-selector',
    `involvedObject.name=${name}`,
    '-o',
    'jsonpath={range .items[*]}{.reason} {.message}{"\\n"}{end}',
  );

describe.skipIf(why !== '')('ingress', () => {
  let authority: KeyPair;
  const issue = (host: string, commonName: string) =>
    issueServing(authority, { commonName, dnsNames: [host], ipAddresses: [], days: 1, nowMs: systemClock.now() });
  beforeAll(async () => {
    authority = await createAuthority('ingress e2e', systemClock.now());
    await cluster.up();
    expectOk(await cluster.run('image', 'demo'));
    await apply(...app('web'), ...app('next'), ingress('plain', 'plain.example', 'web'));
    await kubectl('wait', '--for=condition=Ready', 'pod/web', 'pod/next', '--timeout=180s');
    await until('an address', async () => {
      ip = await kubectl('get', 'ingress', 'plain', '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}');
      return ip !== '';
    });
    await until('the first route', async () => (await nameAt('plain.example')) === 'web');
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test('class, service and status are there, and kubectl describes them', async () => {
    expect(await kubectl('get', 'ingressclass', '--no-headers')).toMatch(
      /^pintle \(default\)\s+ingress\.pintle\.dev\/controller/,
    );
    expect(await kubectl('get', 'service', '-n', 'kube-system', 'ingress', '-o', 'jsonpath={.spec.clusterIP}')).toBe(
      ip,
    );
    const text = await kubectl('describe', 'ingress', 'plain');
    expect(text).toMatch(/Ingress Class:\s+pintle/);
    expect(text).toMatch(/Normal\s+Sync/);
    expect(text).toContain(`Address:          ${ip}`);
  });
  test('from a pod as from the host', async () => {
    const ask = `const r = await fetch('http://${ip}/', { headers: { Host: 'plain.example' } }); console.log((await r.json()).name)`;
    expect(await kubectl('exec', 'next', '--', 'bun', '-e', ask)).toBe('web');
    expect(await at('nobody.example')).toBe('404 Not Found\n');
  });

  for (const [driver, lack] of drivers)
    describe.skipIf(lack !== '')(`driver ${driver}`, () => {
      const host = (name: string) => `${name}.${driver}.example`;
      const make = (name: string, service: string, more: Parameters<typeof ingress>[3] = {}) =>
        ingress(`${driver}-${name}`, host(name), service, more);
      beforeAll(async () => {
        await apply({
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'ingress', namespace: 'kube-system' },
          data: { driver },
        });
        const shown = 'jsonpath={.items[0].metadata.annotations.ingress\\.pintle\\.dev/driver}';
        await until('the driver', async () => (await kubectl('get', 'nodes', '-o', shown)) === driver);
        await until('its routes', async () => (await nameAt('plain.example')) === 'web');
      });

      test('a certificate by name, which rotates while a connection stands', async () => {
        const name = host('tls');
        await apply(secret(`${driver}-tls`, await issue(name, 'first')), make('tls', 'web', { tls: `${driver}-tls` }));
        await until('the certificate', async () => (await subjectFor(name)) === 'first');
        expect(await subjectFor('other.example')).toBe('ingress.invalid');
        const ca = join(cluster.home.folder, 'ca.pem');
        writeFileSync(ca, authority.cert);
        const secure = ['--resolve', `${name}:443:${ip}`, '--cacert', ca, `https://${name}/`];
        for (const version of ['--http1.1', '--http2'])
          expect(JSON.parse(await curl(version, ...secure)).headers['x-forwarded-proto']).toBe('https');
        expect(
          await curl('-o', '/dev/null', '-w', '%{http_code} %{redirect_url}', '-H', `Host: ${name}`, `http://${ip}/a`),
        ).toBe(`308 https://${name}/a`);
        // One connection, asked before, meanwhile and after.
        const standing = Bun.spawn(
          ['openssl', 's_client', '-quiet', '-ign_eof', '-connect', `${ip}:443`, '-servername', name],
          {
            stdin: 'pipe',
            stdout: 'pipe',
            stderr: 'ignore',
          },
        );
        let answers = '';
        const reading = (async () => {
          for await (const chunk of standing.stdout) answers += new TextDecoder().decode(chunk);
        })();
        const ask = async (count: number) => {
          standing.stdin.write(`GET /x HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
          await standing.stdin.flush();
          await until(`answer ${count}`, () => answers.split('HTTP/1.1 200').length - 1 === count);
        };
        await ask(1);
        await apply(secret(`${driver}-tls`, await issue(name, 'second')));
        await until('the other certificate', async () => (await subjectFor(name)) === 'second');
        await ask(2);
        standing.kill();
        await reading;
      });
      test('a bad certificate is told, the default one served, and nobody else is harmed', async () => {
        const bad = { cert: authority.cert, key: 'nonsense' };
        const made = secret(`${driver}-bad`, bad);
        // The API refuses a pair that does not fit where it looks; a Secret can be wrong in other ways.
        const refused = await cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(made) });
        const other = await issue('other.example', 'other');
        if (refused.code !== 0) await apply(secret(`${driver}-bad`, other));
        await apply(
          make('bad', 'web', { tls: `${driver}-bad`, annotations: { 'ingress.pintle.dev/ssl-redirect': 'false' } }),
        );
        await until('an event', async () => (await events(`${driver}-bad`)).includes('CertificateNotUsable'));
        await until('its route', async () => (await nameAt(host('bad'))) === 'web');
        expect(await subjectFor(host('bad'))).toBe('ingress.invalid');
        expect(await subjectFor(host('tls'))).toBe('second');
      });
      test('a canary by header, cookie and weight', async () => {
        const annotations = {
          'ingress.pintle.dev/canary': 'true',
          'ingress.pintle.dev/canary-weight': '30',
          'ingress.pintle.dev/canary-header': 'x-next',
          'ingress.pintle.dev/canary-cookie': 'next',
        };
        await apply(make('shop', 'web'), ingress(`${driver}-canary`, host('shop'), 'next', { annotations }));
        await until('the canary', async () => (await nameAt(host('shop'), '-H', 'X-Next: always')) === 'next');
        expect(await nameAt(host('shop'), '-H', 'X-Next: never')).toBe('web');
        expect(await nameAt(host('shop'), '-b', 'next=always')).toBe('next');
        const names = await Promise.all(Array.from({ length: 100 }, () => nameAt(host('shop'))));
        const share = names.filter((name) => name === 'next').length;
        expect(share).toBeGreaterThan(10);
        expect(share).toBeLessThan(55);
        expect(names.every((name) => name === 'next' || name === 'web')).toBe(true);
      });
      test('WebSocket, gRPC, timeouts and a bound for bodies', async () => {
        await apply(
          make('ws', 'web', { annotations: { 'ingress.pintle.dev/body-size-max': '10' } }),
          make('grpc', 'web', { port: 'grpc', annotations: { 'ingress.pintle.dev/backend-protocol': 'GRPC' } }),
        );
        await until('the route', async () => (await nameAt(host('ws'))) === 'web');
        const socket = new WebSocket(`ws://${ip}/ws`, { headers: { Host: host('ws') } } as never);
        const messages: string[] = [];
        socket.onmessage = ({ data }) => {
          messages.push(String(data));
          if (messages.length === 1) socket.send('hello');
        };
        await until('an echo', () => messages.length === 2);
        expect(messages).toEqual(['web', 'hello']);
        socket.close();
        const status = ['-o', '/dev/null', '-w', '%{http_code}', '-H', `Host: ${host('ws')}`];
        expect(await curl(...status, '-d', 'x'.repeat(11), `http://${ip}/`)).toBe('413');
        await until('gRPC', async () => (await grpcCall(ip, 443, host('grpc'), '/pkg.S/M')).status === '0');
        expect(await grpcCall(ip, 443, host('grpc'), '/pkg.S/M')).toEqual({ status: '0', body: 'web' });
      });
      test('a new route is live soon, a claimed one is a conflict, a deleted one is gone', async () => {
        await apply(make('claim', 'web'));
        await until('the route', async () => (await nameAt(host('claim'))) === 'web');
        await apply(ingress(`${driver}-late`, host('claim'), 'next'));
        await until('an event', async () => (await events(`${driver}-late`)).includes('Conflict'));
        expect(await nameAt(host('claim'))).toBe('web');
        await kubectl('delete', 'ingress', `${driver}-claim`);
        await until('the younger one', async () => (await nameAt(host('claim'))) === 'next');
        await kubectl('delete', 'ingress', `${driver}-late`);
        await until(
          'no route',
          async () => (await nameAt(host('claim'))) === '404 Not Found' || (await at(host('claim'))).includes('404'),
        );
      });
    });

  test('foreign classes are left alone, and an Ingress that changes its class loses its address', async () => {
    await apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IngressClass',
      metadata: { name: 'other' },
      spec: { controller: 'example.com/x' },
    });
    await kubectl('patch', 'ingress', 'plain', '-p', '{"spec":{"ingressClassName":"other"}}');
    const address = ['get', 'ingress', 'plain', '-o', 'jsonpath={.status.loadBalancer.ingress}'];
    await until('no address', async () => (await kubectl(...address)) === '');
    await until('no route', async () => (await at('plain.example')).includes('404'));
  });
});
