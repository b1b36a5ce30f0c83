import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { endpointsKind, nodeKind } from '#api';
import { silentLog, systemClock } from '#base';
import type { ApiServer } from '../core/apiserver/contract.ts';
import { enrollmentPaths } from '../core/apiserver/enrollment/paths.ts';
import { endpointsOf, peerUrls } from '../core/apiserver/peers.ts';
import { createStreamHandlers } from '../core/apiserver/streaming/handlers.ts';
import { Tunnels } from '../core/apiserver/streaming/tunnels.ts';
import { createClient } from '../core/client/http.ts';
import { keepTunnels } from '../core/cmd/agent/tunnel.ts';
import { openEtcdStore } from '../core/store/etcd.ts';
import { createAuthority, issueServing, type KeyPair } from '../core/wire/pki.ts';
import { type EtcdServer, etcdPath, startEtcd } from './fixtures/etcd.ts';
import { eventually } from './fixtures/eventually.ts';
import { openApiServer } from './fixtures/open-server.ts';

test('the servers of the kubernetes service: sorted, of one port and one family', () => {
  const [a, b] = [
    { ip: '10.0.0.2', port: 6443 },
    { ip: '10.0.0.1', port: 6443 },
  ];
  expect(endpointsOf([a, b, a])).toEqual({ ips: ['10.0.0.1', '10.0.0.2'], port: 6443, family: 'IPv4' });
  expect(endpointsOf([b, { ip: '10.0.0.9', port: 7443 }, { ip: 'fd00::1', port: 6443 }])).toEqual(endpointsOf([b]));
  expect(endpointsOf([{ ip: 'fd00::1', port: 6443 }])).toMatchObject({ family: 'IPv6' });
});

interface Running extends AsyncDisposable {
  readonly server: ApiServer;
  readonly tunnels: Tunnels;
  readonly url: string;
}

if (!etcdPath) console.log('skip: tunnels to two API servers (there is no etcd on PATH)');
else
  describe('a node behind NAT with two API servers on one etcd', () => {
    const stop = new AbortController();
    const running: Running[] = [];
    let etcd: EtcdServer;
    let ca: KeyPair;
    let kubelet: ReturnType<typeof Bun.serve>;

    async function start(ip: string): Promise<Running> {
      const at = {
        endpoints: [etcd.endpoint],
        plaintext: true,
        prefix: '/tunnels',
        clock: systemClock,
        log: silentLog,
      };
      const store = await openEtcdStore(at);
      const holder: { server?: ApiServer } = {};
      const tunnels = new Tunnels({
        reader: () => holder.server!.reader,
        kubeletCa: ca.cert,
        clock: systemClock,
        log: silentLog,
      });
      const port = freePort();
      const server = await openApiServer({
        store,
        advertise: { ip, port: 6443, urls: [`https://127.0.0.1:${port}`] },
        streams: createStreamHandlers({ signKubeletToken: async () => 'token', kubeletCa: ca.cert, tunnels }),
        extraPaths: new Map([[enrollmentPaths.tunnel, tunnels.path]]),
        authenticator: {
          authenticate: (request) => {
            const name = request.headers.get('authorization')?.replace('Bearer ', '') ?? 'admin';
            return name === 'admin'
              ? { name, groups: ['system:masters'] }
              : { name: `system:node:${name}`, groups: ['system:nodes'] };
          },
        },
      });
      holder.server = server;
      const tls = await issueServing(ca, {
        commonName: 'a',
        dnsNames: ['kubernetes.default.svc'],
        ipAddresses: [],
        days: 1,
        nowMs: systemClock.now(),
      });
      await server.listen({ hostname: '127.0.0.1', port, tls });
      const made = {
        server,
        tunnels,
        url: `https://127.0.0.1:${port}`,
        async [Symbol.asyncDispose]() {
          await tunnels[Symbol.asyncDispose]();
          await server[Symbol.asyncDispose]();
          await store[Symbol.asyncDispose]();
        },
      };
      running.push(made);
      return made;
    }
    const clientOf = ({ server }: Running) =>
      createClient({ fetch: (request) => server.fetch(request), baseUrl: 'http://localhost', token: 'admin' });
    const askedAt = async ({ server }: Running): Promise<string> =>
      (await server.fetch(new Request('http://localhost/api/v1/nodes/n1/proxy/healthz'))).text();

    beforeAll(async () => {
      etcd = await startEtcd();
      ca = await createAuthority('one for all', systemClock.now());
      const tls = await issueServing(ca, {
        commonName: 'n1',
        dnsNames: ['n1'],
        ipAddresses: [],
        days: 1,
        nowMs: systemClock.now(),
      });
      kubelet = Bun.serve({
        hostname: '127.0.0.1',
        port: 0,
        tls,
        fetch: ({ url }) => new Response(`n1 ${new URL(url).pathname}`),
      });
      const first = await start('192.0.2.1');
      await start('192.0.2.2');
      await clientOf(first).create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
      const body = {
        status: {
          addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], // which no API server ever connects to
          daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
        },
      };
      await clientOf(first).patch(nodeKind, { name: 'n1' }, { type: 'merge', body }, { subresource: 'status' });
      // The agent knows one server only, and hears of the others from it.
      const servers = () => [...new Set([first.url, ...peerUrls(first.server.reader)])];
      const token = async () => 'n1';
      const { signal } = stop;
      void keepTunnels({
        servers,
        token,
        ca: ca.cert,
        port: kubelet.port!,
        clock: systemClock,
        log: silentLog,
        signal,
      });
    });
    afterAll(async () => {
      stop.abort();
      for (const one of running) await one[Symbol.asyncDispose]();
      await kubelet.stop(true);
      await etcd[Symbol.asyncDispose]();
    });

    test('its kubelet answers whichever server is asked, also one that is new', async () => {
      for (const one of running)
        await eventually(
          () => askedAt(one),
          (text) => text === 'n1 /healthz',
        );
      const third = await start('192.0.2.3');
      await eventually(
        () => askedAt(third),
        (text) => text === 'n1 /healthz',
      );
    });

    test('the endpoints of the kubernetes service are all servers that live', async () => {
      const ipsAt = async (one: Running) => {
        const { subsets } = await clientOf(one).get(endpointsKind, { namespace: 'default', name: 'kubernetes' });
        return subsets?.flatMap(({ addresses }) => addresses?.map(({ ip }) => ip)).join();
      };
      for (const one of running)
        await eventually(
          () => ipsAt(one),
          (ips) => ips === '192.0.2.1,192.0.2.2,192.0.2.3',
        );
      await running.pop()![Symbol.asyncDispose]();
      await eventually(
        () => ipsAt(running[0]!),
        (ips) => ips === '192.0.2.1,192.0.2.2',
      );
    });

    test('two addresses of one server are two tunnels, of which neither takes the place of the other', async () => {
      const [first] = running as [Running];
      const more = new AbortController();
      const localhost = first.url.replace('127.0.0.1', 'localhost');
      void keepTunnels({
        servers: () => [localhost],
        token: async () => 'n1',
        ca: ca.cert,
        port: kubelet.port!,
        clock: systemClock,
        log: silentLog,
        signal: more.signal,
      });
      const before = first.tunnels.hostOf('n1');
      const after = await eventually(
        () => first.tunnels.hostOf('n1'),
        (host) => host !== before,
      );
      expect(await askedAt(first)).toBe('n1 /healthz');
      more.abort();
      await eventually(
        () => first.tunnels.hostOf('n1'),
        (host) => host !== after,
      );
      expect(first.tunnels.hostOf('n1')).toBe(before!); // it was never closed
      expect(await askedAt(first)).toBe('n1 /healthz');
    });
  });

function freePort(): number {
  const probe = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response() });
  const { port } = probe;
  void probe.stop(true);
  return port!;
}
