import { expect, test } from 'bun:test';
import { compilePath } from './json-path.ts';

const object = {
  spec: {
    color: 'red',
    list: [
      { name: 'a', n: 1 },
      { name: 'b', n: 2 },
    ],
    'a.b': 1,
  },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Other', status: 'False' },
    ],
  },
};
test.each([
  ['.spec.color', ['red']],
  ['.spec.none', []],
  ['.spec.list[*].name', ['a', 'b']],
  ['.spec.list[1].name', ['b']],
  ['.spec.list[-1].name', ['b']],
  ['.spec.list[0:1].n', [1]],
  ["['spec']['a.b']", [1]],
  ['.spec.a\\.b', []],
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  ["..conditions[?(@.status != 'True')].type", ['Other']],
  ['.spec.list[?(@.n > 1)].name', ['b']],
] as [string, unknown[]][])('%s', (path, found) => expect(compilePath(path)?.(object)).toEqual(found));
test('what is no path', () => {
  for (const text of ['spec', '.a[', '.a[?x]', '.a[b]', '.a b']) expect(compilePath(text)).toBeUndefined();
});
