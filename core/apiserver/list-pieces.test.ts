import { afterAll, beforeAll, expect, test } from 'bun:test';
import http2 from 'node:http2';
import { configMapKind, type ResourceVersion } from '#api';
import { listenLocally, openApiServer } from '../../test/fixtures/open-server.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { CachedObject, encodeStored, storeKey } from './cached-object.ts';
import type { AnyKind, ApiServer, ServedKind } from './contract.ts';
import { ListPieces } from './list-pieces.ts';

const kind = configMapKind as unknown as AnyKind;
const stored = (name: string, bytes: number): Uint8Array =>
  encodeStored({ kind }, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default', uid: name },
    data: { text: 'ä'.repeat(bytes / 2) },
  } as never);
const sizes = [10, 2_000, 700, 90_000, 0, 3_000, 64, 5_000];
const served = { kind } as ServedKind;
const objects = (): CachedObject[] =>
  sizes.map(
    (bytes, index) =>
      new CachedObject(
        served,
        storeKey(kind, 'default', `m${index}`),
        String(7 + index) as ResourceVersion,
        stored(`m${index}`, bytes),
      ),
  );

test.each([4096, 5_100, 200_000])('pieces of at most %d bytes make the same list', (bytesMax) => {
  const held = objects();
  held[2]!.bytes; // some have been read before
  const list = new ListPieces(kind, { resourceVersion: '20' }, held);
  const copies: Buffer[] = [];
  for (const piece of list.pieces(bytesMax)) copies.push(Buffer.from(piece)); // they share a buffer
  expect(copies.every((piece) => piece.length <= bytesMax && piece.length > 0)).toBe(true);
  expect(copies.length).toBeGreaterThanOrEqual(Math.ceil(list.totalBytes / bytesMax));
  const text = Buffer.concat(copies).toString();
  expect(Buffer.byteLength(text)).toBe(list.totalBytes);
  expect(Buffer.from(list.whole()).toString()).toBe(text);
  const items = objects().map(({ object: { apiVersion: _version, kind: _kind, ...rest } }) => rest);
  expect(JSON.parse(text)).toEqual({
    kind: 'ConfigMapList',
    apiVersion: 'v1',
    metadata: { resourceVersion: '20' },
    items,
  } as never);
});

test('an empty list', () => {
  const list = new ListPieces(kind, { resourceVersion: '1' }, []);
  expect(Buffer.from(list.whole()).toString()).toBe(
    '{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}',
  );
  expect(list.whole().length).toBe(list.totalBytes);
});

let server: ApiServer;
let store: Store;
let url: string;
const count = 600;
const path = '/api/v1/namespaces/default/configmaps';
beforeAll(async () => {
  store = await createMemoryStore();
  for (let index = 0; index < count; index++)
    await store.create(storeKey(kind, 'default', `m${index}`), stored(`m${index}`, 10_000));
  server = await openApiServer({ store });
  url = `https://127.0.0.1:${(await listenLocally(server)).port}`;
});
afterAll(() => server[Symbol.asyncDispose]());

const namesOf = (text: string): string[] =>
  (JSON.parse(text) as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name);
const wanted = Array.from({ length: count }, (_, index) => `m${index}`).toSorted();

test.each(['identity', 'gzip'])(
  'several large lists at once over HTTP/1.1 (%s), the first of a version and later ones',
  async (encoding) => {
    for (let round = 0; round < 3; round++) {
      const init = { headers: { 'accept-encoding': encoding }, tls: { rejectUnauthorized: false } };
      const answers = await Promise.all(Array.from({ length: 4 }, () => fetch(url + path, init)));
      for (const answer of answers) expect(namesOf(await answer.text())).toEqual(wanted);
    }
  },
  60_000,
);

test('a large list over HTTP/2 does not wait for the clock at each piece', async () => {
  const session = http2.connect(url, { rejectUnauthorized: false });
  try {
    for (let round = 0; round < 2; round++) {
      await store.create(storeKey(kind, 'other', `n${round}`), stored(`n${round}`, 10)); // another version: in pieces again
      const stream = session.request({ ':path': path, accept: 'application/json' });
      const bytes: Buffer[] = [];
      for await (const chunk of stream) bytes.push(chunk as Buffer);
      expect(namesOf(Buffer.concat(bytes).toString())).toEqual(wanted);
    }
  } finally {
    session.close();
  }
}, 20_000);

test.each(['application/json', 'application/vnd.kubernetes.protobuf'])(
  'who asks within this process holds all pieces until the end (%s)',
  async (accept) => {
    const local = () => server.fetch(new Request(`http://localhost${path}`, { headers: { accept } }));
    const remote = await fetch(url + path, { headers: { accept }, tls: { rejectUnauthorized: false } });
    const wantedBytes = Buffer.from(await remote.arrayBuffer());
    expect(wantedBytes.length).toBeGreaterThan(2 * 1024 * 1024);
    for (let round = 0; round < 2; round++)
      expect(Buffer.from(await (await local()).arrayBuffer()).equals(wantedBytes)).toBe(true);
    const streamed = await Bun.readableStreamToArrayBuffer((await local()).body!);
    expect(Buffer.from(streamed).equals(wantedBytes)).toBe(true);
  },
);
