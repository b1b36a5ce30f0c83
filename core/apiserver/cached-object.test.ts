import { expect, test } from 'bun:test';
import { configMapKind, type ResourceVersion } from '#api';
import { CachedObject, encodeStored } from './cached-object.ts';
import type { AnyKind, AnyObject, ServedKind } from './contract.ts';
import { DecodedPool } from './decoded-pool.ts';

const kind = configMapKind as AnyKind;
const served = { kind, strategy: { kind } } as unknown as ServedKind;
const map = (data: Record<string, string>) =>
  ({ metadata: { name: 'a', namespace: 'n', labels: { app: 'ä' } }, data }) as unknown as AnyObject;
const cached = (stored: Uint8Array) =>
  new CachedObject(served, '/registry/core/configmaps/n/a', '42' as ResourceVersion, stored);

for (const [name, stored] of [
  ['in the canonical form', encodeStored(served, map({ text: 'größer 🚀' }))],
  ['in another form', Buffer.from(JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', ...map({ text: 'x' }) }))],
] as const)
  test(`stored bytes ${name} come back exactly after the version was put into them`, () => {
    const object = cached(stored);
    expect(object.labels).toEqual({ app: 'ä' });
    expect(Buffer.from(object.bytes).toString()).toContain('"resourceVersion":"42"');
    expect(Buffer.compare(object.stored, stored)).toBe(0);
    expect(object.object.metadata.resourceVersion).toBe('42');
    expect(JSON.parse(Buffer.from(object.at('43' as ResourceVersion).bytes).toString()).metadata).toEqual({
      ...object.object.metadata,
      resourceVersion: '43',
    });
  });

test('what the pool forgets is decoded again', () => {
  const pool = new DecodedPool(1);
  const [one, two] = [cached(encodeStored(served, map({}))), cached(encodeStored(served, map({ b: '2' })))];
  one.decodeIn(pool);
  two.decodeIn(pool);
  const first = one.object;
  one.takeUsed();
  expect(one.object).toBe(first);
  one.takeUsed();
  two.object;
  expect(one.object).not.toBe(first);
  expect(one.object).toEqual(first);
});
