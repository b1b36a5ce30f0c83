import { expect, test } from 'bun:test';
import { parseArguments } from './arguments.ts';
import { objectsOf } from './manifests.ts';
import { align } from './read.ts';

const told = (line: string) => {
  const { verb, words, command, flags } = parseArguments(line.split(' '));
  return {
    verb,
    words,
    ...(command.length ? { command } : {}),
    ...Object.fromEntries([...flags].map(([name, values]) => [name, values.join()])),
  };
};
test.each([
  ['get pods', { verb: 'get', words: ['pods'] }],
  ['get po,svc -owide -A', { verb: 'get', words: ['po,svc'], output: 'wide', 'all-namespaces': 'true' }],
  [
    '-n kube-system get pods web -o json',
    { verb: 'get', words: ['pods', 'web'], namespace: 'kube-system', output: 'json' },
  ],
  [
    'get pods --selector=app=web --no-headers',
    { verb: 'get', words: ['pods'], selector: 'app=web', 'no-headers': 'true' },
  ],
  ['apply -f a.yaml -f b.yaml', { verb: 'apply', words: [], filename: 'a.yaml,b.yaml' }],
  ['apply -f -', { verb: 'apply', words: [], filename: '-' }],
  ['logs -f web -c main --tail 5', { verb: 'logs', words: ['web'], follow: 'true', container: 'main', tail: '5' }],
  [
    'exec -it web -c main -- sh -c id',
    { verb: 'exec', words: ['web'], stdin: 'true', tty: 'true', container: 'main', command: ['sh', '-c', 'id'] },
  ],
  ['scale rc web --replicas=5', { verb: 'scale', words: ['rc', 'web'], replicas: '5' }],
  ['delete pods --all --wait=false', { verb: 'delete', words: ['pods'], all: 'true', wait: 'false' }],
] as const)('%s', (line, expected) => expect(told(line)).toEqual(expected as unknown as ReturnType<typeof told>));

test.each([
  ['port-forward web 80', 'the verb port-forward needs stock kubectl'],
  ['get pods --server-print', 'the flag --server-print needs stock kubectl'],
  ['get pods -w', 'the flag -w needs stock kubectl'],
  ['scale rc web --replicas', '--replicas needs a value'],
])('%s is refused', (line, text) => expect(() => parseArguments(line.split(' '))).toThrow(text));

test('tables are aligned, and nothing hangs over', () =>
  expect(
    align([
      ['NAME', 'AGE'],
      ['long-name', '1s'],
    ]),
  ).toBe('NAME        AGE\nlong-name   1s\n'));

test('manifests: several documents, lists, and the place of a mistake', () => {
  const text =
    'apiVersion: v1\nkind: A\n---\n# nothing\n---\n{"apiVersion":"v1","kind":"List","items":[{"kind":"B"},{"kind":"C"}]}\n';
  expect(objectsOf('f', text).map(({ kind }) => kind!)).toEqual(['A', 'B', 'C']);
  expect(() => objectsOf('f.yaml', 'a: b: c')).toThrow(/error parsing f.yaml: .* at line 1, column/);
  expect(() => objectsOf('f.yaml', 'a: b')).toThrow('apiVersion and kind must be set');
});
