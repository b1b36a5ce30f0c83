import { expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import { seal, sealedWith, unseal } from './seal.ts';

const key = (id: string) => ({ id, bytes: randomBytes(32) });
const one = key('0001-00000001');
const plain = Buffer.from('{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}');
const path = '/registry/core/secrets/default/db';

test('what is sealed opens with its key under its path, and with nothing else', () => {
  const sealed = seal(one, path, plain);
  expect(sealedWith(sealed)).toBe(one.id);
  expect(Buffer.from(unseal(one, path, sealed)!).equals(plain)).toBe(true);
  expect(unseal(key(one.id), path, sealed)).toBeUndefined();
  expect(unseal(one, '/registry/core/secrets/default/other', sealed)).toBeUndefined();
  expect(Buffer.from(sealed).includes('hunter2') || Buffer.from(sealed).includes('aHVudGVyMg')).toBe(false);
});

test('the same content never looks the same', () => {
  expect(Buffer.compare(seal(one, path, plain), seal(one, path, plain))).not.toBe(0);
});

test('no flipped bit and no cut goes unnoticed, and none throws', () => {
  const sealed = seal(one, path, plain);
  for (let at = 0; at < sealed.length; at++) {
    const bent = Buffer.from(sealed);
    bent[at] = bent[at]! ^ 1;
    const id = sealedWith(bent);
    expect(id === one.id ? unseal(one, path, bent) : undefined).toBeUndefined();
  }
  for (let length = 1; length < sealed.length; length++)
    expect(unseal(one, path, sealed.subarray(0, length))).toBeUndefined();
});

test.each([
  ['plain text', plain, undefined],
  ['nothing', Buffer.alloc(0), undefined],
  ['another binary form', Buffer.from('\0k8s'), ''],
  ['a damaged id', Buffer.from('\0pintle-sealed-1 ../../etc\nxx'), ''],
])('%s', (_name, value, wanted) => {
  expect(sealedWith(value)).toBe(wanted as string);
});
