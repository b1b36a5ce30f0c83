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

test('what its writer had decoded is kept as the text would come back, and no longer than the pool of late writes keeps it', () => {
  const written = { apiVersion: 'v1', kind: 'ConfigMap', ...map({ text: 'x' }) } as AnyObject;
  const [all, recent] = [new DecodedPool(10_000), new DecodedPool(1)];
  const one = cached(encodeStored(served, written));
  one.adopt(written);
  one.decodeIn(all, recent);
  expect(JSON.stringify(one.object)).toBe(Buffer.from(one.bytes).toString());
  expect((one.object as unknown as { data: object }).data).toBe((written as unknown as { data: object }).data);
  one.takeUsed();
  const two = cached(encodeStored(served, written));
  two.adopt(written);
  two.decodeIn(all, recent);
  expect((one.object as unknown as { data: object }).data).not.toBe((written as unknown as { data: object }).data);
});

for (const [name, value] of [
  ['undefined', undefined],
  ['a number that is none', Number.NaN],
  ['minus zero', -0],
] as const)
  test(`what JSON does not keep is not adopted: ${name}`, () => {
    const written = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      ...map({}),
      data: { list: [{ value }] },
    } as never as AnyObject;
    const one = cached(encodeStored(served, written));
    one.adopt(written);
    expect(JSON.stringify(one.object)).toBe(Buffer.from(one.bytes).toString());
    expect(one.object).not.toBe(written);
    expect((one.object as never as { data: object }).data).not.toBe((written as never as { data: object }).data);
  });
