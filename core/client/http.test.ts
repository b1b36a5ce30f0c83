import { expect, test } from 'bun:test';
import { podKind, type StatusError } from '#api';
import { createClient } from './http.ts';

function clientOf(answer: (request: Request) => Response | Promise<Response>) {
  const requests: Request[] = [];
  const client = createClient({
    baseUrl: 'http://server/',
    token: 'secret',
    fetch: async (request) => {
      requests.push(request);
      return answer(request);
    },
  });
  return { client, requests };
}
const failure = async (work: Promise<unknown>): Promise<StatusError> =>
  work.then(
    () => Promise.reject(new Error('no failure')),
    (error: StatusError) => error,
  );

test('a list names its items, sends the token and the query', async () => {
  const { client, requests } = clientOf(() =>
    Response.json({ metadata: { resourceVersion: '5' }, items: [{ metadata: { name: 'a' } }] }),
  );
  const list = await client.list(podKind, { namespace: 'ns', labelSelector: 'a=b' });
  expect(list.items[0]).toMatchObject({ kind: 'Pod', apiVersion: 'v1' });
  expect(requests[0]!.url).toBe('http://server/api/v1/namespaces/ns/pods?labelSelector=a%3Db');
  expect(requests[0]!.headers.get('authorization')).toBe('Bearer secret');
});
test('every failure is a StatusError: a Status, plain text, no answer', async () => {
  const key = { namespace: 'ns', name: 'a' };
  const status = { kind: 'Status', code: 404, reason: 'NotFound', message: 'pods "a" not found' };
  const first = await failure(clientOf(() => Response.json(status, { status: 404 })).client.get(podKind, key));
  expect([first.code, first.reason, first.message]).toEqual([404, 'NotFound', 'pods "a" not found']);
  const second = await failure(clientOf(() => new Response('bad gateway', { status: 502 })).client.get(podKind, key));
  expect([second.code, second.reason]).toEqual([502, 'Unknown']);
  const third = await failure(clientOf(() => Promise.reject(new Error('refused'))).client.get(podKind, key));
  expect([third.code, third.reason]).toEqual([503, 'ServiceUnavailable']);
});
test('a watch gives events however the bytes are cut, drops half a line, and throws an ERROR event', async () => {
  const line = (type: string, object: object) => JSON.stringify({ type, object }) + '\n';
  const text = line('ADDED', { metadata: { name: 'ä' } }) + line('BOOKMARK', { metadata: { resourceVersion: '9' } });
  const bytes = new TextEncoder().encode(text + '{"type":"MODI');
  for (const size of [1, 7, 1000]) {
    const { client } = clientOf(
      () =>
        new Response(
          new ReadableStream({
            start(controller) {
              for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
              controller.close();
            },
          }),
        ),
    );
    const seen: string[] = [];
    for await (const event of client.watch(podKind, {}, new AbortController().signal))
      seen.push(`${event.type} ${event.object.metadata.name ?? event.object.metadata.resourceVersion}`);
    expect(seen).toEqual(['ADDED ä', 'BOOKMARK 9']);
  }
  const { client } = clientOf(() => new Response(line('ERROR', { kind: 'Status', code: 410, reason: 'Expired' })));
  const error = await failure(client.watch(podKind, {}, new AbortController().signal)[Symbol.asyncIterator]().next());
  expect(error.reason).toBe('Expired');
});
test('an aborted watch ends without a failure', async () => {
  const stop = new AbortController();
  const { client } = clientOf(() => new Response(new ReadableStream({ pull: () => stop.abort() })));
  for await (const _ of client.watch(podKind, {}, stop.signal)) throw new Error('no event was sent');
});
