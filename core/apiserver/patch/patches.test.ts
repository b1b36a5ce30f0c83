import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { applyJsonPatch, operationsMax } from './json.ts';
import { applyMergePatch } from './merge.ts';
import { applyStrategicPatch } from './strategic.ts';

const pod = 'io.k8s.api.core.v1.Pod';
type Doc = Record<string, unknown>;

describe('strategic merge', () => {
  const containers = (...list: Doc[]): Doc => ({ spec: { containers: list } });
  const cases: [string, Doc, Doc, Doc][] = [
    [
      'an element is merged by its key',
      containers({ name: 'a', image: '1' }, { name: 'b' }),
      containers({ name: 'a', image: '2' }),
      containers({ name: 'a', image: '2' }, { name: 'b' }),
    ],
    [
      'a new element is added, before those that were there',
      containers({ name: 'a' }),
      containers({ name: 'b' }),
      containers({ name: 'b' }, { name: 'a' }),
    ],
    [
      'an element is deleted',
      containers({ name: 'a' }, { name: 'b' }),
      containers({ $patch: 'delete', name: 'a' }),
      containers({ name: 'b' }),
    ],
    [
      'a list is replaced',
      containers({ name: 'a' }, { name: 'b' }),
      containers({ $patch: 'replace' }, { name: 'c' }),
      containers({ name: 'c' }),
    ],
    [
      'an object is replaced',
      { spec: { nodeSelector: { a: '1' } } },
      { spec: { nodeSelector: { $patch: 'replace', b: '2' } } },
      { spec: { nodeSelector: { b: '2' } } },
    ],
    [
      'null removes',
      { spec: { nodeName: 'x', hostname: 'y' } },
      { spec: { nodeName: null } },
      { spec: { hostname: 'y' } },
    ],
    [
      'an atomic list is replaced',
      containers({ name: 'a', args: ['1', '2'] }),
      containers({ name: 'a', args: ['3'] }),
      containers({ name: 'a', args: ['3'] }),
    ],
    [
      'finalizers are a set',
      { metadata: { finalizers: ['a'] } },
      { metadata: { finalizers: ['b', 'a'] } },
      { metadata: { finalizers: ['b', 'a'] } },
    ],
    [
      'finalizers are taken off',
      { metadata: { finalizers: ['a', 'b'] } },
      { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } },
      { metadata: { finalizers: ['b'] } },
    ],
    [
      'volumes keep only the keys named',
      { spec: { volumes: [{ name: 'v', emptyDir: {} }] } },
      { spec: { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] } },
      { spec: { volumes: [{ name: 'v', hostPath: { path: '/x' } }] } },
    ],
    [
      'the order asked for',
      containers({ name: 'a' }, { name: 'b' }, { name: 'c' }),
      {
        spec: {
          '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }],
          containers: [{ name: 'c', image: 'x' }],
        },
      },
      containers({ name: 'b' }, { name: 'c', image: 'x' }, { name: 'a' }),
    ],
  ];
  test.each(cases)('%s', (_, document, patch, result) => {
    const before = structuredClone(document);
    expect(applyStrategicPatch(pod, document, patch)).toEqual(result);
    expect(document).toEqual(before);
  });
  // What upstream's API server answers.
  test.each([
    ['d', 'd a b c'],
    ['c a', 'b c a'],
    ['d b', 'd a b c'],
    ['b d', 'a b d c'],
    ['-b e', 'e a c'],
    ['e d c', 'e d a b c'],
  ])('a, b and c with %s become %s', (patch, expected) => {
    const entry = (name: string) => (name.startsWith('-') ? { name: name.slice(1), $patch: 'delete' } : { name });
    const live = containers({ name: 'a' }, { name: 'b' }, { name: 'c' });
    const merged = applyStrategicPatch(pod, live, containers(...patch.split(' ').map(entry)));
    expect((merged['spec'] as { containers: Doc[] }).containers.map(({ name }) => name).join(' ')).toBe(expected);
    const finalizers = (names: string) => ({ metadata: { finalizers: names.split(' ') } });
    if (!patch.startsWith('-'))
      expect(applyStrategicPatch(pod, finalizers('a b c'), finalizers(patch))).toEqual(finalizers(expected));
  });
  test('an element without its key is refused', () => {
    expect(() => applyStrategicPatch(pod, containers(), containers({ image: 'x' }))).toThrow(
      'does not contain declared merge key: name',
    );
  });
});

describe('merge', () => {
  const json = fc.dictionary(fc.string(), fc.jsonValue());
  test('is idempotent and leaves its arguments alone', () => {
    fc.assert(
      fc.property(json, json, (document, patch) => {
        const text = JSON.stringify([document, patch]);
        const once = applyMergePatch(document, patch);
        expect(applyMergePatch(once, patch)).toEqual(once);
        expect(JSON.stringify([document, patch])).toBe(text);
      }),
      { numRuns: 200 },
    );
  });
  test('does not reach a prototype', () => {
    applyMergePatch({}, JSON.parse('{"__proto__":{"polluted":1}}') as Doc);
    expect(({} as Doc)['polluted']).toBeUndefined();
  });
});

describe('json patch', () => {
  test('applies in order', () => {
    const patched = applyJsonPatch({ a: [1] }, [
      { op: 'add', path: '/a/-', value: 2 },
      { op: 'test', path: '/a/1', value: 2 },
      { op: 'move', from: '/a', path: '/b' },
    ]);
    expect(patched).toEqual({ b: [1, 2] });
  });
  const refused: [string, unknown, number][] = [
    ['a failing test', [{ op: 'test', path: '/a', value: 2 }], 422],
    ['a missing path', [{ op: 'remove', path: '/x' }], 422],
    ['no list', { op: 'add' }, 400],
    ['an unknown op', [{ op: 'zap', path: '/a' }], 422],
    ['a prototype', [{ op: 'add', path: '/__proto__/x', value: 1 }], 400],
    ['too many', Array(operationsMax + 1).fill({ op: 'add', path: '/a', value: 1 }), 413],
  ];
  test.each(refused)('%s is refused', (_, operations, code) => {
    let status = 0;
    try {
      applyJsonPatch({ a: 1 }, operations);
    } catch (error) {
      status = (error as { code: number }).code;
    }
    expect(status).toBe(code);
  });
});
