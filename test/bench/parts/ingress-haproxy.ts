import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#base';
import { createAuthority, issueServing } from '../../../core/wire/pki.ts';
import { haproxy, haproxyDriver } from '../../fixtures/haproxy.ts';
import { changesUnderLoad, type Plane, wrk } from '../ingress.ts';
import { benchRouting, benchTarget } from './ingress-routes.ts';
import { interleave, percentile, type Row, ratioRow, until, valueRow } from './row.ts';

/**
 * The HAProxy driver against a configuration that a person would write for the same routes: a line for each of them, the same
 * five headers for the backend, no map, no reload. Both have one thread, and the route in the middle is asked for. The last row
 * is the time of `apply` with a host more among 1,000 routes.
 */
export async function* haproxyRows(port: number, seconds: number, rounds: number, changes: number): AsyncIterable<Row> {
  if (!haproxy) return;
  await using few = await startDriver(10, port);
  await using many = await startDriver(1_000, port);
  await using hand = await startByHand(10, port);
  const path = '/shop/v4/items';
  const rate = (plane: Plane, routes: number) => () => plane.load({ ...benchTarget(routes), path }, seconds);
  yield ratioRow('ingress.haproxy', 'requests/s', await interleave(rounds, rate(few, 10), rate(hand, 10)), '>= 0.95');
  const pairs = await interleave(rounds, rate(many, 1_000), rate(few, 10));
  yield ratioRow('ingress.haproxy.routes', 'requests/s', pairs, '>= 0.95');
  const { failed, served } = await changesUnderLoad(few, changes);
  yield valueRow('ingress.haproxy.changes.failed', failed, 'requests', '<= 0');
  yield valueRow('ingress.haproxy.changes.served', served, 'requests');
  const times: number[] = [];
  for (let turn = 0; turn < changes; turn++) {
    const start = performance.now();
    await many.change();
    times.push(performance.now() - start);
  }
  yield valueRow('ingress.haproxy.apply.p99', percentile(times, 0.99), 'ms', '<= 300');
}

async function startDriver(routes: number, port: number): Promise<Plane> {
  const nowMs = systemClock.now();
  const authority = await createAuthority('bench', nowMs);
  const names = { commonName: 'bench', dnsNames: ['bench.invalid'], ipAddresses: [], days: 1, nowMs };
  const certificate = { id: 'default', version: '1', names: [], ...(await issueServing(authority, names)) };
  const made = await haproxyDriver({ threads: 1, drainMs: 500 });
  let turn = 0;
  const change = async () => {
    await made.driver.apply(benchRouting(certificate, routes, [port], turn++));
  };
  await change();
  const { pid } = JSON.parse(readFileSync(join(made.folder, 'serving.json'), 'utf8')) as { pid: number };
  const own = made.driver.listening[0]!.port;
  return {
    port: own,
    load: (target, seconds) => wrk(pid, own, target, seconds),
    change,
    [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
  };
}

async function startByHand(routes: number, port: number): Promise<Plane> {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-bench-haproxy-'));
  const probe = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  const own = probe.port;
  probe.stop(true);
  const file = join(folder, 'haproxy.cfg');
  writeFileSync(file, writtenByHand(routes, own, port));
  // In a session of its own as the driver's is: sessions share the processor, and who is woken more often works in smaller pieces.
  const child = Bun.spawn(['setsid', haproxy!, '-db', '-f', file], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  });
  await until(
    'haproxy by hand',
    async () => (await fetch(`http://127.0.0.1:${own}/`).catch(() => undefined)) !== undefined,
  ); // prettier-ignore
  return {
    port: own,
    load: (target, seconds) => wrk(child.pid, own, target, seconds),
    change: () => Promise.resolve(),
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function writtenByHand(routes: number, own: number, port: number): string {
  const { host } = benchTarget(routes);
  const paths = Array.from({ length: routes }, (_unused, index) => `v${index}`);
  return `global
  nbthread 1
  maxconn 10000
  no strict-limits
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout http-request 10s
  timeout http-keep-alive 75s
frontend http
  bind 127.0.0.1:${own}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Real-IP %[src]
  acl shop req.hdr(host) -i ${host}
${paths.map((name) => `  use_backend ${name} if shop { path /shop/${name} } or shop { path_beg /shop/${name}/ }`).join('\n')}
${paths.map((name) => `backend ${name}\n  server only 127.0.0.1:${port}`).join('\n')}
`;
}
