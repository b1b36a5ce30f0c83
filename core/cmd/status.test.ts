import { expect, test } from 'bun:test';
import type { Config } from './home.ts';
import { statusText } from './status.ts';

const config = {
  port: 6443,
  runtime: 'process',
  proxy: 'userspace',
  store: 'sqlite',
  podCidr: '127.244.0.0/16',
  serviceCidr: '127.96.0.0/16',
  nodePorts: '30000-32767',
} as Config;
const ready = { ready: true, text: 'ready' };
const silent = { ready: false, text: 'does not answer' };
const nowMs = Date.parse('2026-01-01T01:00:00.000Z');
const running = { running: true, pid: 7, restarts: 0, since: '2026-01-01T00:59:30.000Z' } as const;

test('status of a cluster that runs, of one that is stopped, and of one that cannot start', () => {
  const all = [
    { name: 'supervisor', running: true, pid: 6, restarts: 0 },
    { name: 'apiserver', ...running, restarts: 2, lastExit: 'code 137' },
  ] as const;
  expect(statusText('/h', config, all, ready, nowMs)).toBe(`home      /h
api       https://127.0.0.1:6443 ready
runtime   process, proxy userspace
store     sqlite
ranges    pods 127.244.0.0/16, services 127.96.0.0/16, node ports 30000-32767

COMPONENT     STATE     PID      RESTARTS  SINCE
supervisor    running   6        0
apiserver     running   7        2         30s ago (it ended before: code 137)
`);
  const stopped = all.map((line) => ({ ...line, running: false, pid: undefined }));
  expect(statusText('/h', config, stopped, silent, nowMs)).toEndWith('\nnext: ./pintle up --detach --home /h\n');
  const failure = { code: 'STORE_DAMAGED', message: 'it is damaged', next: 'put a backup there' };
  const broken = [all[0], { ...stopped[1]!, failure }];
  expect(statusText('/h', config, broken, silent, nowMs)).toEndWith(
    '\nthe apiserver does not start: it is damaged [STORE_DAMAGED]\nnext: put a backup there\n',
  );
});

test('status names the engine’s product and version, or says that it does not answer', () => {
  const socket = '/run/podman/podman.sock';
  const docker = { ...config, runtime: 'docker', proxy: 'nftables', engine: { socket, private: false } } as Config;
  const line = (found?: { socket: string; product: string; version: string }) =>
    statusText('/h', docker, [], ready, nowMs, found).split('\n')[2];
  expect(line({ socket, product: 'Podman', version: '4.3.1' })).toBe(
    'runtime   docker, Podman 4.3.1 at /run/podman/podman.sock, proxy nftables',
  );
  expect(line()).toBe('runtime   docker, which does not answer, at /run/podman/podman.sock, proxy nftables');
});

test('status of a server tells of its hosts, and how their kubelets are reached', () => {
  const hosts = [
    { name: 'h1', ready: 'Ready', way: 'this host' },
    { name: 'h2', ready: 'NotReady', way: 'tunnel' },
  ];
  const text = statusText('/h', { ...config, role: 'server' }, [], { ...ready, hosts }, nowMs);
  expect(text).toContain(`
HOST                    STATE     KUBELET REACHED
h1                      Ready     this host
h2                      NotReady  tunnel
`);
});

test('status of a host that joined: its server, its node, and what to do', () => {
  const agent = { ...config, role: 'agent', servers: ['https://10.0.0.1:6443'], nodeName: 'h2' } as Config;
  const node = { name: 'node', running: false, restarts: 0 } as const;
  const text = (reach: Parameters<typeof statusText>[3]) => statusText('/h', agent, [node], reach, nowMs);
  expect(text(silent).split('\n').slice(1, 3)).toEqual([
    'server    https://10.0.0.1:6443',
    'node      h2 does not answer',
  ]);
  expect(text(silent)).toEndWith('\nnext: ./pintle agent --detach --home /h\n');
  expect(text({ ready: false, text: 'removed', removed: 'node h2 was removed' })).toEndWith(
    '\nnode h2 was removed\nnext: ./pintle down --purge --home /h\n',
  );
  expect(text(silent)).not.toContain('store');
});
