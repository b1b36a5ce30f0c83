import { expect, test } from 'bun:test';
import { configMapKind, type ResourceVersion } from '#api';
import { encodeStored, storeKey } from './cached-object.ts';
import type { AnyKind, ServedKind } from './contract.ts';
import { ResourceCache } from './resource-cache.ts';

const kind = configMapKind as unknown as AnyKind;
const put = (name: string, version: string) => {
  const value = encodeStored({ kind }, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'a', name } });
  const entry = { key: storeKey(kind, 'a', name), value, version: version as ResourceVersion };
  return { type: 'put' as const, entry, previous: undefined };
};

test('the events of a turn of the loop are told together: one call at its end', () => {
  const due: (() => void)[] = [];
  const cache = new ResourceCache({ kind, strategy: {} } as ServedKind, '1' as ResourceVersion, (call) =>
    due.push(call),
  );
  cache.load([], '1' as ResourceVersion);
  const seen: string[] = [];
  cache.sinks.add({
    onEvent: ({ object }) => void seen.push(object.name),
    onTurn: () => void seen.push('turn'),
    onBookmark() {},
    onLost() {},
  });
  cache.apply(put('one', '2'));
  cache.apply(put('two', '3'));
  expect([due.length, seen]).toEqual([1, ['one', 'two']]);
  due.pop()!();
  cache.apply(put('three', '4'));
  due.pop()!();
  expect(seen).toEqual(['one', 'two', 'turn', 'three', 'turn']);
});

test('what many watchers are sent is joined once, and nothing else passes for it', () => {
  const cache = new ResourceCache({ kind, strategy: {} } as ServedKind, '1' as ResourceVersion);
  const [a, b, c] = ['a', 'bb', 'cc'].map((text) => new TextEncoder().encode(text)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const chunk = cache.join([a, b], 3);
  expect(new TextDecoder().decode(chunk)).toBe('abb');
  expect(cache.join([a, b], 3)).toBe(chunk);
  expect(new TextDecoder().decode(cache.join([a, c], 3))).toBe('acc');
  expect(new TextDecoder().decode(cache.join([b, a], 3))).toBe('bba');
  expect(cache.join([c], 2)).toBe(c);
});
