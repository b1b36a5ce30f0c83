import { expect, test } from 'bun:test';
import { createConnection } from 'node:net';
import { seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../store/memory.ts';
import { createSchemaEngine } from './schema/schema.ts';
import { createApiServer } from './server.ts';

/** [CVE-2018-1002105]: what follows a refused upgrade on the same connection must not be taken for a request. */
test.each([
  ['upgrade: websocket\r\nconnection: upgrade\r\n', 1],
  ['upgrade: SPDY/3.1\r\nconnection: upgrade\r\n', 1],
  ['', 2],
])('after a request with %p the connection answers %p requests', async (headers, answers) => {
  await using server = await createApiServer({
    store: await createMemoryStore(),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    schema: createSchemaEngine(),
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  });
  // The listener speaks TLS only; what is said on a connection is the handler's, so that plain HTTP shows it as well.
  const plain = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => server.fetch(request) });
  const socket = createConnection(plain.port!, '127.0.0.1');
  const request = (extra: string) => `GET /api/v1/namespaces/default/pods/none HTTP/1.1\r\nhost: a\r\n${extra}\r\n`;
  const text = await new Promise<string>((resolve) => {
    let got = '';
    const isWhole = () => got.split('"code":404').length - 1 === answers;
    socket.on('data', (bytes) => {
      got += bytes;
      if (answers > 1 && isWhole()) socket.end();
    });
    socket.on('close', () => resolve(got));
    socket.write(request(headers) + request(''));
  });
  await plain.stop(true);
  expect(text.split('HTTP/1.1 404').length - 1).toBe(answers);
});
