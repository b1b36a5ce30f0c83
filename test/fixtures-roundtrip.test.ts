// Upstream's published fixtures (every kind, every field set) in its three formats: read, kept and written again, nothing lost.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { apiVersionOf, builtinKinds } from '#api';
import { readObject } from '../core/apiserver/body.ts';
import { encodeStored, storeKey } from '../core/apiserver/cached-object.ts';
import type { AnyKind, AnyObject, ApiServer } from '../core/apiserver/contract.ts';
import { createSchemaEngine } from '../core/apiserver/schema/schema.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import { openApiServer } from './fixtures/open-server.ts';
import { skipped } from './fixtures/skipped.ts';

const modules = process.env['GOMODCACHE'] ?? join(homedir(), 'go/pkg/mod');
const folder = join(modules, 'k8s.io/api@v0.37.1/testdata/HEAD');
if (!existsSync(folder)) skipped('contract', 'upstream’s fixtures', `${folder} is absent: go mod download k8s.io/api`);
const formats = { json: 'application/json', yaml: 'application/yaml', pb: 'application/vnd.kubernetes.protobuf' };
type Format = keyof typeof formats;
const bytesOf = (name: string, format: Format): Buffer => readFileSync(join(folder, `${name}.${format}`));
const fixtureOf = ({ group, version, kind }: AnyKind): string => `${group || 'core'}.${version}.${kind}`;

const kinds = (builtinKinds as readonly AnyKind[]).filter((kind) =>
  existsSync(join(folder, `${fixtureOf(kind)}.json`)),
);
/** What is kept as such; virtual kinds are never stored, other forms are made from the stored one. */
const kept = kinds.filter((kind) => !kind.virtual && !kind.storedAs);
const cases = (of: readonly AnyKind[]) => of.map((kind) => [fixtureOf(kind), kind] as const);
const engine = createSchemaEngine();

/** One fixture as the server reads it from a request. */
async function read(kind: AnyKind, format: Format, body = bytesOf(fixtureOf(kind), format)): Promise<AnyObject> {
  const request = new Request('http://localhost/', {
    method: 'POST',
    headers: { 'content-type': formats[format] },
    body: new Uint8Array(body),
  });
  const { value, faults } = await readObject(request, kind.kind);
  expect(faults).toEqual([]);
  expect(engine.decode(kind.type, value)).toEqual({ unknown: [], errors: [] });
  return value as AnyObject;
}
/** The version exists only after a commit. */
const unversioned = (object: AnyObject): AnyObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: undefined },
});

describe.skipIf(kinds.length === 0)('upstream’s fixtures', () => {
  let server: ApiServer;
  beforeAll(async () => {
    const store = await createMemoryStore();
    for (const kind of kept) {
      const object = await read(kind, 'json');
      await store.create(storeKey(kind, 'namespaceValue', 'nameValue'), encodeStored({ kind: kind }, object));
    }
    server = await openApiServer({
      store,
    });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  test('cover every kind that is stored', () => {
    const absent = (builtinKinds as readonly AnyKind[]).filter((kind) => !kinds.includes(kind)).map(fixtureOf);
    expect(absent).toEqual(['apiregistration.k8s.io.v1.APIService']); // of another module, without fixtures
  });

  test.each(cases(kinds))('%s reads the same from JSON, YAML and protobuf', async (name, kind) => {
    const expected = JSON.parse(bytesOf(name, 'json').toString()) as AnyObject;
    for (const format of ['json', 'yaml', 'pb'] as const) expect(await read(kind, format)).toEqual(expected);
  });

  test.each(cases(kept))('%s comes back from the store in every format', async (name, kind) => {
    const expected = unversioned(JSON.parse(bytesOf(name, 'json').toString()) as AnyObject);
    const base = kind.group ? `/apis/${apiVersionOf(kind)}` : '/api/v1';
    const path = `${base}${kind.namespaced ? '/namespaces/namespaceValue' : ''}/${kind.plural}/nameValue`;
    for (const [format, type] of Object.entries(formats) as [Format, string][]) {
      const answer = await server.fetch(new Request(`http://localhost${path}`, { headers: { accept: type } }));
      expect([answer.status, answer.headers.get('content-type')?.split(';')[0]]).toEqual([200, type]);
      const object = await read(kind, format, Buffer.from(await answer.arrayBuffer()));
      expect(unversioned(object)).toEqual(expected);
    }
  });
});
