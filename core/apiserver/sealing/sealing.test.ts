import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, createLog, silentLog, systemClock, systemRandom } from '#base';
import { storeContract } from '../../../test/contracts/store.ts';
import { createMemoryStore } from '../../store/memory.ts';
import { openSqliteStore } from '../../store/sqlite.ts';
import type { Store } from '../../store/store.ts';
import type { ApiServer } from '../contract.ts';
import { createSchemaEngine } from '../schema/schema.ts';
import { createApiServer } from '../server.ts';
import { keepSealed, type SealingStatus } from './resealing.ts';
import { addKey, KeyFolder, keyIds } from './root-keys.ts';
import { sealedWith } from './seal.ts';
import { SealedStore } from './sealed-store.ts';

const prefix = '/registry/core/secrets/';
const secrets = '/api/v1/namespaces/default/secrets';
const password = 'correct-horse-battery-staple';
/** Grace periods and pauses cost nothing. */
const hurried: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 1), signal) };
let folder: string;
let keysFolder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pintle-sealing-'));
  keysFolder = join(folder, 'keys');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

storeContract('sealed memory', async () => {
  const inner = await createMemoryStore();
  const keys = new KeyFolder(mkdtempSync(join(folder, 'contract-')), silentLog);
  const store = new SealedStore(inner, '/', keys);
  return { store, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
});

async function serve(store: Store, log = silentLog, onSealing?: (status: SealingStatus) => void): Promise<ApiServer> {
  return createApiServer({
    store,
    clock: systemClock,
    random: systemRandom,
    log,
    serviceRange: '10.96.0.0/24',
    schema: createSchemaEngine(),
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
    secretKeys: new KeyFolder(keysFolder, log),
    onSealing,
  });
}
async function call(server: ApiServer, method: string, path: string, body?: unknown) {
  const request = new Request(`http://localhost${path}`, {
    method,
    headers: { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const response = await server.fetch(request);
  const text = await response.text();
  return { code: response.status, text, warning: response.headers.get('warning') };
}
const secret = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, annotations: { note: password } },
  stringData: { password },
});
const idsIn = async (store: Store) => (await store.list(prefix)).entries.map(({ value }) => sealedWith(value));

async function until(test: () => Promise<boolean> | boolean): Promise<void> {
  for (let round = 0; round < 500; round++) {
    if (await test()) return;
    await systemClock.sleep(10);
  }
  throw new Error('not reached within 5 s');
}
/** The loop of a server, at once and to its end. */
async function sealAll(store: Store): Promise<SealingStatus> {
  const stop = new AbortController();
  const keys = new KeyFolder(keysFolder, silentLog);
  let last: SealingStatus | undefined;
  const work = keepSealed({
    store,
    prefix,
    keys,
    clock: hurried,
    log: silentLog,
    signal: stop.signal,
    report: (status) => (last = status),
  });
  await until(() => last?.done === true);
  stop.abort();
  await work;
  return last!;
}

describe('at rest', () => {
  test('neither the files of the store, nor logs, nor errors hold what a Secret holds', async () => {
    const lines: string[] = [];
    const log = createLog((line) => void lines.push(line), { level: 'debug', now: () => 0 });
    const answers: string[] = [];
    {
      await using store = await openSqliteStore({ path: join(folder, 'store.db'), clock: systemClock, log });
      await using server = await serve(store, log);
      expect((await call(server, 'POST', secrets, secret('db'))).code).toBe(201);
      expect((await call(server, 'GET', `${secrets}/db`)).text).toContain(Buffer.from(password).toString('base64'));
      const patched = { metadata: { labels: { a: 'b' } }, stringData: { token: password } };
      expect((await call(server, 'PATCH', `${secrets}/db`, patched)).code).toBe(200);
      for (const bad of [
        secret('db'),
        { ...secret('Bad_Name'), data: { 'no/key': btoa(password) } },
        { ...secret('x'), data: { a: `%${password}` } },
        { ...secret('x'), data: password },
        { ...secret('x'), type: 'kubernetes.io/dockerconfigjson', stringData: { '.dockerconfigjson': password } },
        { ...secret('x'), type: 'kubernetes.io/tls' },
      ]) {
        const answer = await call(server, 'POST', secrets, bad);
        expect(answer.code).toBeGreaterThanOrEqual(400);
        answers.push(answer.text);
      }
    }
    const wanted = [password, Buffer.from(password).toString('base64').slice(0, 30)];
    const files = readdirSync(folder).filter((name) => name.startsWith('store.'));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files)
      for (const text of wanted) expect(readFileSync(join(folder, name)).includes(text)).toBe(false);
    for (const text of wanted) expect([...lines, ...answers].filter((line) => line.includes(text))).toEqual([]);
  });

  test('a restart reads them again; config maps stay readable in the file', async () => {
    const store = await createMemoryStore();
    for (const [method, path, body] of [
      ['POST', secrets, secret('db')],
      ['GET', `${secrets}/db`, undefined],
    ] as const) {
      const server = await serve(store);
      expect((await call(server, method, path, body)).text).toContain('"name":"db"');
      await stopOnly(server);
    }
    expect(await idsIn(store)).toEqual([keyIds(keysFolder)[0]]);
  });
});
/** The memory store outlives its server here. */
const stopOnly = (server: ApiServer): Promise<void> => server[Symbol.asyncDispose]() as Promise<void>;

describe('rotation', () => {
  test('everything moves to the new key, content and all, and the old key goes', async () => {
    const store = await createMemoryStore();
    const server = await serve(store);
    for (let index = 0; index < 30; index++) await call(server, 'POST', secrets, secret(`s${index}`));
    const before = JSON.parse((await call(server, 'GET', `${secrets}/s7`)).text);
    const old = keyIds(keysFolder);
    const id = addKey(keysFolder);
    const status = await sealAll(store);
    expect(status).toMatchObject({ key: id, secrets: 30, sealed: 30, unreadable: 0, older: [], done: true });
    expect(keyIds(keysFolder)).toEqual([id]);
    expect(old).not.toContain(id);
    expect(new Set(await idsIn(store))).toEqual(new Set([id]));
    const after = JSON.parse((await call(server, 'GET', `${secrets}/s7`)).text);
    expect(BigInt(after.metadata.resourceVersion)).toBeGreaterThan(BigInt(before.metadata.resourceVersion));
    expect({ ...after, metadata: { ...after.metadata, resourceVersion: '' } }).toEqual({
      ...before,
      metadata: { ...before.metadata, resourceVersion: '' },
    });
    await stopOnly(server);
  });

  test('killed after any write, it goes on where it was, and every secret can be read at every moment', async () => {
    for (const writes of [0, 1, 5, 16, 17, 39]) {
      rmSync(keysFolder, { recursive: true, force: true });
      const store = await createMemoryStore();
      const first = new SealedStore(store, prefix, new KeyFolder(keysFolder, silentLog));
      for (let index = 0; index < 40; index++)
        await first.create(`${prefix}default/s${index}`, Buffer.from(`{"n":${index}}`));
      const id = addKey(keysFolder);
      const dying = dieAfter(store, writes);
      const stop = new AbortController();
      const work = keepSealed({
        store: dying,
        prefix,
        keys: new KeyFolder(keysFolder, silentLog),
        clock: hurried,
        log: silentLog,
        signal: stop.signal,
      });
      await until(() => dying.died);
      stop.abort();
      await work;
      expect(keyIds(keysFolder)).toHaveLength(2); // nobody takes a key away that something needs
      const reader = new SealedStore(store, prefix, new KeyFolder(keysFolder, silentLog));
      for (const { value } of (await reader.list(prefix)).entries) expect(value[0]).toBe(0x7b);
      expect(await sealAll(store)).toMatchObject({ key: id, sealed: 40, done: true });
      expect(keyIds(keysFolder)).toEqual([id]);
    }
  });

  test('what an older program stored in plain text is sealed', async () => {
    const store = await createMemoryStore();
    await store.create(`${prefix}default/old`, Buffer.from('{"plain":1}'));
    expect(await sealAll(store)).toMatchObject({ secrets: 1, sealed: 1, done: true });
    expect(await idsIn(store)).toEqual(keyIds(keysFolder));
  });

  test('a server notices a new key by itself', async () => {
    const seen: SealingStatus[] = [];
    const store = await createMemoryStore();
    const server = await serve(store, silentLog, (status) => void seen.push(status));
    await call(server, 'POST', secrets, secret('db'));
    const id = addKey(keysFolder);
    await until(() => seen.some(({ key, sealed }) => key === id && sealed === 1));
    expect(await idsIn(store)).toEqual([id]);
    await stopOnly(server);
  });
});
/** Fails every write after so many, as a process that is no more. */
function dieAfter(inner: Store, writes: number): Store & { died: boolean } {
  let left = writes;
  return Object.assign(Object.create(inner) as Store, {
    died: false,
    list: inner.list.bind(inner),
    get: inner.get.bind(inner),
    update(this: { died: boolean }, ...change: Parameters<Store['update']>) {
      if (left-- > 0) return inner.update(...change);
      this.died = true;
      return Promise.reject(new Error('killed'));
    },
  });
}

describe('a lost key', () => {
  test('is an error of the objects that were sealed with it, and of nothing else', async () => {
    const store = await createMemoryStore();
    const before = await serve(store);
    await call(before, 'POST', secrets, secret('lost'));
    await call(before, 'POST', secrets, secret('lost-too'));
    await stopOnly(before);
    const [gone] = keyIds(keysFolder);
    writeFileSync(join(keysFolder, `${gone}.key`), 'not a key\n');
    const server = await serve(store);
    expect((await call(server, 'POST', secrets, secret('fine'))).code).toBe(201);
    const answer = await call(server, 'GET', `${secrets}/lost`);
    expect(answer.code).toBe(500);
    expect(answer.text).toContain(`sealed with the key ${gone}`);
    expect((await call(server, 'PATCH', `${secrets}/lost`, { data: {} })).code).toBe(500);
    expect((await call(server, 'POST', secrets, secret('lost'))).code).toBe(409);
    const list = await call(server, 'GET', secrets);
    expect(JSON.parse(list.text).items.map((item: { metadata: { name: string } }) => item.metadata.name)).toEqual([
      'fine',
    ]);
    expect(list.warning).toContain('cannot be opened');
    expect((await call(server, 'DELETE', `${secrets}/lost`)).code).toBe(200);
    expect((await call(server, 'GET', `${secrets}/lost`)).code).toBe(404);
    expect((await call(server, 'DELETE', secrets)).code).toBe(200);
    expect((await store.list(prefix)).entries).toEqual([]);
    await stopOnly(server);
  });

  test('a key that comes back opens them again, and a damaged one stays for whoever mends it', async () => {
    const store = await createMemoryStore();
    const before = await serve(store);
    await call(before, 'POST', secrets, secret('db'));
    await stopOnly(before);
    const path = join(keysFolder, `${keyIds(keysFolder)[0]}.key`);
    const good = readFileSync(path, 'utf8');
    writeFileSync(path, 'damaged');
    expect(await sealAll(store)).toMatchObject({ unreadable: 1 });
    expect(readFileSync(path, 'utf8')).toBe('damaged');
    writeFileSync(path, good);
    const server = await serve(store);
    expect((await call(server, 'GET', `${secrets}/db`)).code).toBe(200);
    await stopOnly(server);
  });
});
