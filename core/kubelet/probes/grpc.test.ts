import { afterEach, describe, expect, test } from 'bun:test';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { checkRequest, grpcHandler, judgeReply } from './grpc.ts';

describe('the gRPC health protocol', () => {
  test('frames a request', () => {
    expect([...checkRequest('')]).toEqual([0, 0, 0, 0, 0]);
    expect([...checkRequest('ab')]).toEqual([0, 0, 0, 0, 4, 0x0a, 2, 97, 98]);
    expect([...checkRequest('x'.repeat(200)).subarray(0, 8)]).toEqual([0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
  });
  test.each([
    [{ 'grpc-status': '0' }, [0, 0, 0, 0, 2, 8, 1], undefined],
    [{ 'grpc-status': '0' }, [0, 0, 0, 0, 2, 8, 2], 'service unhealthy (responded with "NOT_SERVING")'],
    [{ 'grpc-status': '0' }, [0, 0, 0, 0, 0], 'service unhealthy (responded with "UNKNOWN")'],
    [
      { 'grpc-status': '5', 'grpc-message': 'unknown%20service' },
      [],
      'error: health rpc probe failed: rpc error: code = NotFound desc = unknown service',
    ],
    [
      { 'grpc-status': '12', 'grpc-message': 'no' },
      [],
      'error: this server does not implement the grpc health protocol (grpc.health.v1.Health): no',
    ],
  ])('judges %p', (head, bytes, output) => {
    const result = judgeReply(head, Uint8Array.from(bytes));
    expect(result.ok ? undefined : result.output).toBe(output);
  });
});

describe('a gRPC probe', () => {
  let server: Http2Server | undefined;
  afterEach(() => server?.close());
  const probe = (port: number, service?: string) =>
    grpcHandler(
      { port, service },
      { podIp: '127.0.0.1', agent: 'kube-probe/1.37', signal: AbortSignal.timeout(20_000) },
    );
  async function serve(status: number): Promise<{ port: number; seen: Record<string, unknown>[] }> {
    const seen: Record<string, unknown>[] = [];
    const made = createServer();
    made.on('stream', (stream: ServerHttp2Stream, headers) => {
      seen.push(headers);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': '' }));
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
    });
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    server = made;
    return { port: (made.address() as AddressInfo).port, seen };
  }

  test('asks a server', async () => {
    const { port, seen } = await serve(1);
    expect(await probe(port, 'svc')).toEqual({ ok: true });
    expect(seen[0]).toMatchObject({ ':path': '/grpc.health.v1.Health/Check', 'user-agent': 'kube-probe/1.37' });
  });
  test('fails when the service does not serve', async () => {
    const { port } = await serve(2);
    expect(await probe(port)).toEqual({ ok: false, output: 'service unhealthy (responded with "NOT_SERVING")' });
  });
  test('says that nobody listens', async () => {
    const { port } = await serve(1);
    await new Promise<void>((resolve) => server!.close(() => resolve()));
    server = undefined;
    const result = await probe(port);
    expect(result.ok ? '' : result.output).toStartWith(`error: failed to connect service at "127.0.0.1:${port}"`);
  });
});
