import { expect, test } from 'bun:test';
import type { Reader } from '../contract.ts';
import { tokenLookup } from './token-lookup.ts';

const objects: Record<string, object> = {
  'Pod n/p': { metadata: { uid: '1' }, spec: { nodeName: 'm', serviceAccountName: 'a' } },
  'Node /m': { metadata: { uid: '2' } },
  'Secret n/s': { metadata: { uid: '3', deletionTimestamp: '1970-01-01T00:00:01Z' } },
  'ServiceAccount n/a': { metadata: { uid: '4' } },
};
const lookup = tokenLookup(() => ({
  get: ((kind: { kind: string }, namespace: string, name: string) =>
    objects[`${kind.kind} ${namespace}/${name}`]) as unknown as Reader['get'],
}));

test.each([
  ['pods', 'n', 'p', { uid: '1', nodeName: 'm', serviceAccountName: 'a' }],
  ['nodes', '', 'm', { uid: '2' }],
  ['secrets', 'n', 's', { uid: '3', deletedAtMs: 1000 }],
  ['serviceaccounts', 'n', 'a', { uid: '4' }],
  ['nodes', '', 'none', undefined],
] as const)('%s %s/%s', (resource, namespace, name, expected) => {
  expect<unknown>(lookup(resource, namespace, name)).toEqual(expected);
});
