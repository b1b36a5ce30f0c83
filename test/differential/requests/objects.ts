import { at, patch, post, put, remove, type Scenario } from '../scenario.ts';

const map = (name: string, more: object = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, ...more });
const twiceAndUnknown =
  '{"foo":1,"metadata":{"name":"a","name":"a","bar":1,"bar":2},"foo":2,"data":{"a":"1","a":"2"},"x":{"y":1,"y":2}}';
const maps = at('configmaps');
export const objects: readonly Scenario[] = [
  {
    name: 'the life of a ConfigMap',
    requests: [
      post(maps, map('a', { data: { x: '1' } })),
      post(maps, map('a')),
      post(maps, { metadata: { generateName: 'gen-' } }),
      { path: at('configmaps', 'a'), keep: { rv: 'metadata.resourceVersion', uid: 'metadata.uid' } },
      put(at('configmaps', 'a'), map('a', { data: { x: '2' } })),
      put(at('configmaps', 'a'), { ...map('a'), metadata: { name: 'a', resourceVersion: '{rv}' } }),
      put(at('configmaps', 'a'), { ...map('a'), metadata: { name: 'a', uid: 'b1946ac9-0000-0000-0000-000000000000' } }),
      put(at('configmaps', 'b'), map('a')),
      put(at('configmaps', 'none'), map('none')),
      patch('merge', at('configmaps', 'a'), { data: { y: '3', x: null } }),
      patch('strategic', at('configmaps', 'a'), { data: { z: '4' } }),
      patch('json', at('configmaps', 'a'), [{ op: 'add', path: '/data/q', value: '5' }]),
      patch('json', at('configmaps', 'a'), [{ op: 'test', path: '/data/q', value: '6' }]),
      patch('json', at('configmaps', 'a'), [{ op: 'remove', path: '/data/none' }]),
      patch('json', at('configmaps', 'a'), [{ op: 'jump', path: '/data/q' }]),
      patch('json', at('configmaps', 'a'), { op: 'add' }),
      patch('merge', at('configmaps', 'a'), '[]'),
      patch('merge', at('configmaps', 'a'), '{'),
      patch('merge', at('configmaps', 'none'), {}),
      patch('merge', at('configmaps', 'a'), { metadata: { resourceVersion: '{rv}' } }),
      patch('apply', `${at('configmaps', 'a')}?fieldManager=m`, map('a', { data: { y: '7' } })),
      patch('apply', `${at('configmaps', 'a')}?fieldManager=m&force=true`, map('a', { data: { y: '7' } })),
      patch('apply', at('configmaps', 'a'), map('a')),
      patch('apply', `${at('configmaps', 'new')}?fieldManager=m`, map('new', { data: { a: 'b' } })),
      remove(at('configmaps', 'a'), { preconditions: { uid: 'b1946ac9-0000-0000-0000-000000000000' } }),
      remove(at('configmaps', 'a'), { preconditions: { resourceVersion: '1' } }),
      remove(`${at('configmaps', 'a')}?dryRun=All`),
      remove(`${at('configmaps', 'a')}?dryRun=Some`),
      remove(`${at('configmaps', 'a')}?propagationPolicy=Sideways`),
      remove(`${at('configmaps', 'a')}?gracePeriodSeconds=x`),
      remove(at('configmaps', 'a')),
      remove(at('configmaps', 'a')),
      post(maps, { ...map('held'), metadata: { name: 'held', finalizers: ['example.com/hold'] } }),
      remove(at('configmaps', 'held')),
      patch('merge', at('configmaps', 'held'), { metadata: { finalizers: null } }),
      { path: at('configmaps', 'held') },
      { method: 'DELETE', path: maps, compare: ['status', 'type'] },
      { path: maps },
    ],
  },
  {
    name: 'field validation',
    requests: [
      post(`${maps}?fieldValidation=Strict`, map('s', { nothing: 1 })),
      post(`${maps}?fieldValidation=Warn`, map('w', { nothing: 1 })),
      post(`${maps}?fieldValidation=Ignore`, map('i', { nothing: 1 })),
      post(`${maps}?fieldValidation=Odd`, map('o')),
      post(maps, map('d', { nothing: { deep: 1 } })),
      post(
        `${maps}?fieldValidation=Strict`,
        '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"dup","name":"dup2"}}',
      ),
      post(maps, '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"dup3"},"data":{"a":"1","a":"2"}}'),
      post(`${maps}?fieldValidation=Strict`, 'kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: y1\n  name: y2\n', {
        'content-type': 'application/yaml',
      }),
      post(`${maps}?fieldValidation=Strict`, 'kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: y1\nnone: 1\n', {
        'content-type': 'application/yaml',
      }),
      post(`${at('pods')}?fieldValidation=Strict`, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'p', foo: 1 },
        spec: { bar: 1, containers: [{ name: 'c', image: 'i', baz: 2, ports: [{ containerPort: 1, qux: 3 }] }] },
      }),
      post(at('pods'), {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'p' },
        spec: { bar: 1, containers: [{ name: 'c', image: 'i', baz: 2 }] },
      }),
      put(`${at('configmaps', 'w')}?fieldValidation=Strict`, map('w', { nothing: 1 })),
      patch('merge', `${at('configmaps', 'w')}?fieldValidation=Strict`, { nothing: 1 }),
      patch('merge', `${at('configmaps', 'w')}?fieldValidation=Warn`, { nothing: 1, data: { a: '1' } }),
      patch('strategic', `${at('configmaps', 'w')}?fieldValidation=Strict`, { nothing: 1 }),
      patch('json', `${at('configmaps', 'w')}?fieldValidation=Strict`, [{ op: 'add', path: '/nothing', value: 1 }]),
      patch('apply', `${at('configmaps', 'w')}?fieldManager=m&fieldValidation=Strict`, map('w', { nothing: 1 })),
      patch('merge', `${at('configmaps', 'w')}?fieldValidation=Strict`, '{"data":{"a":"1","a":"2"}}'),
      ...['Strict', 'Warn'].flatMap((mode) => [
        post(`${maps}?dryRun=All&fieldValidation=${mode}`, twiceAndUnknown),
        post(
          `${at('pods')}?dryRun=All&fieldValidation=${mode}`,
          '{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","bla":1,"image":"i","image":"i"},{"name":"d","image":"i","image":"i","zz":1,"ports":[{"containerPort":1,"containerPort":2,"u":1}]}],"foo":1}}',
        ),
        post(
          `${maps}?dryRun=All&fieldValidation=${mode}`,
          'metadata:\n  name: a\n  name: b\n  foo: 1\nzz: 1\ndata:\n  a: "1"\n  a: "2"\nzz: 2\n',
          { 'content-type': 'application/yaml' },
        ),
        patch(
          'apply',
          `${at('configmaps', 'w')}?fieldManager=m&dryRun=All&fieldValidation=${mode}`,
          '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"w","labels":{"name":"a","name":"a"}}}',
        ),
      ]),
    ],
  },
];
