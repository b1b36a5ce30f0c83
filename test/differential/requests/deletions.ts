import { at, type Exchange, patch, post, remove, type Scenario } from '../scenario.ts';

const hold = 'example.com/hold';
const map = (name: string, more: object = {}) => post(at('configmaps'), { metadata: { name, ...more } });
const controller = (name: string, more: object = {}) =>
  post(at('replicationcontrollers'), {
    metadata: { name, ...more },
    spec: {
      replicas: 0,
      template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    },
  });
const pod = (name: string, more: object = {}, spec: object = {}) =>
  post(at('pods'), { metadata: { name, ...more }, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } });
const bound = { nodeName: 'nowhere' };
const free = (plural: string, name: string): Exchange =>
  patch('merge', at(plural, name), { metadata: { finalizers: null } });

/** Who is asked twice, how long a grace lasts, and what of it can still be changed. */
export const deletions: readonly Scenario[] = [
  {
    name: 'deletion: another policy on what is being deleted',
    requests: (['Foreground', 'Orphan', 'Background'] as const).flatMap((first) => [
      ...(['Foreground', 'Orphan', 'Background', undefined] as const).flatMap((second) => {
        const name = `${first}-${second}`.toLowerCase();
        return [
          map(name, { finalizers: [hold] }),
          remove(at('configmaps', name), { propagationPolicy: first }),
          remove(at('configmaps', name), second && { propagationPolicy: second }),
          { path: at('configmaps', name) },
          free('configmaps', name),
        ];
      }),
      map(`bare-${first.toLowerCase()}`),
      remove(at('configmaps', `bare-${first.toLowerCase()}`), { propagationPolicy: first }),
      remove(at('configmaps', `bare-${first.toLowerCase()}`), { propagationPolicy: 'Background' }),
      { path: at('configmaps', `bare-${first.toLowerCase()}`) },
    ]),
  },
  {
    name: 'deletion: what a kind does by itself',
    requests: [
      controller('plain'),
      remove(at('replicationcontrollers', 'plain')),
      remove(at('replicationcontrollers', 'plain')),
      remove(at('replicationcontrollers', 'plain'), { propagationPolicy: 'Foreground' }),
      { path: at('replicationcontrollers', 'plain') },
      remove(at('replicationcontrollers', 'plain'), { propagationPolicy: 'Background' }),
      { path: at('replicationcontrollers', 'plain') },
      controller('with', { finalizers: ['foregroundDeletion'] }),
      remove(at('replicationcontrollers', 'with')),
      { path: at('replicationcontrollers', 'with') },
      remove(at('replicationcontrollers', 'with'), { orphanDependents: true }),
      remove(at('replicationcontrollers', 'with'), { orphanDependents: false }),
      { path: at('replicationcontrollers', 'with') },
      map('both', { finalizers: ['orphan', 'foregroundDeletion'] }),
      map('orphan', { finalizers: ['orphan'] }),
      remove(at('configmaps', 'orphan')),
      remove(at('configmaps', 'orphan'), { propagationPolicy: 'Background' }),
      { path: at('configmaps', 'orphan') },
    ],
  },
  {
    name: 'deletion: grace of pods',
    requests: [
      pod('unbound'),
      remove(at('pods', 'unbound')),
      { path: at('pods', 'unbound') },
      pod('bound', {}, bound),
      remove(at('pods', 'bound')),
      remove(at('pods', 'bound')),
      remove(at('pods', 'bound'), { gracePeriodSeconds: 60 }),
      remove(at('pods', 'bound'), { gracePeriodSeconds: 30 }),
      remove(at('pods', 'bound'), { gracePeriodSeconds: 7, propagationPolicy: 'Foreground' }),
      remove(at('pods', 'bound'), { gracePeriodSeconds: 8, propagationPolicy: 'Orphan' }),
      remove(at('pods', 'bound'), { gracePeriodSeconds: 0, propagationPolicy: 'Background' }),
      { path: at('pods', 'bound') },
      pod('short', {}, { ...bound, terminationGracePeriodSeconds: 5 }),
      remove(at('pods', 'short'), { gracePeriodSeconds: -1 }),
      remove(at('pods', 'short'), { gracePeriodSeconds: -5 }),
      remove(at('pods', 'short'), { gracePeriodSeconds: 0 }),
      pod('query', {}, bound),
      remove(`${at('pods', 'query')}?gracePeriodSeconds=4`),
      remove(`${at('pods', 'query')}?gracePeriodSeconds=-3`),
      remove(`${at('pods', 'query')}?gracePeriodSeconds=0`, { gracePeriodSeconds: 3 }),
      remove(`${at('pods', 'query')}?gracePeriodSeconds=0`),
      pod('held', { finalizers: [hold] }, bound),
      remove(at('pods', 'held'), { gracePeriodSeconds: 0 }),
      remove(at('pods', 'held'), { gracePeriodSeconds: 0 }),
      remove(at('pods', 'held'), { gracePeriodSeconds: 20, propagationPolicy: 'Foreground' }),
      { path: at('pods', 'held') },
      free('pods', 'held'),
      { path: at('pods', 'held') },
      pod('zero', {}, { ...bound, terminationGracePeriodSeconds: 0 }),
      remove(at('pods', 'zero')),
      { path: at('pods', 'zero') },
      pod('dry', {}, bound),
      remove(at('pods', 'dry'), { dryRun: ['All'] }),
      remove(at('pods', 'dry'), { gracePeriodSeconds: 0, dryRun: ['All'] }),
      { path: at('pods', 'dry') },
      remove(at('pods', 'dry'), { gracePeriodSeconds: 'soon' }),
      map('timed', { finalizers: [hold] }),
      remove(at('configmaps', 'timed'), { gracePeriodSeconds: 30 }),
      remove(at('configmaps', 'timed'), { gracePeriodSeconds: 5 }),
      free('configmaps', 'timed'),
    ],
  },
  {
    name: 'deletion: preconditions',
    requests: [
      { ...map('a'), keep: { UID: 'metadata.uid', RV: 'metadata.resourceVersion' } },
      remove(at('configmaps', 'a'), { preconditions: { uid: 'other' } }),
      remove(at('configmaps', 'a'), { preconditions: { uid: '{UID}', resourceVersion: '1' } }),
      remove(at('configmaps', 'a'), { preconditions: { uid: '' } }),
      { ...map('b'), keep: { UID: 'metadata.uid', RV: 'metadata.resourceVersion' } },
      remove(at('configmaps', 'b'), { preconditions: { uid: '{UID}', resourceVersion: '{RV}' } }),
      { path: at('configmaps', 'b') },
      remove(at('configmaps', 'b'), { preconditions: { uid: 'x' } }),
      remove(at('configmaps', 'b'), { kind: 'Nonsense', apiVersion: 'v1' }),
      remove(at('configmaps', 'b'), { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background' }),
    ],
  },
  {
    name: 'deletion: collections',
    requests: [
      map('a', { labels: { x: '1' } }),
      map('b', { labels: { x: '2' } }),
      map('c', { labels: { x: '2' }, finalizers: [hold] }),
      remove(`${at('configmaps')}?labelSelector=x%3D1&dryRun=All`),
      { path: `${at('configmaps')}?labelSelector=x` },
      remove(`${at('configmaps')}?labelSelector=x`, { preconditions: { uid: 'other' } }),
      remove(`${at('configmaps')}?labelSelector=x`, { preconditions: { resourceVersion: '1' } }),
      remove(`${at('configmaps')}?labelSelector=x%3D1`),
      remove(`${at('configmaps')}?labelSelector=x%3D2`, { propagationPolicy: 'Foreground' }),
      remove(`${at('configmaps')}?labelSelector=x%3D2`, { propagationPolicy: 'Orphan' }),
      { path: `${at('configmaps')}?labelSelector=x` },
      remove(`${at('configmaps')}?labelSelector=x%3D2`, { propagationPolicy: 'Background' }),
      free('configmaps', 'c'),
      { path: `${at('configmaps')}?labelSelector=x` },
      remove(`${at('configmaps')}?labelSelector=%25`),
      remove(`${at('configmaps')}?fieldSelector=data.x%3D1`),
      remove(`${at('configmaps')}?propagationPolicy=Sideways`),
      remove(`${at('configmaps')}?fieldSelector=metadata.name%3Dnone`),
      remove(`${at('configmaps')}?limit=1&labelSelector=x`),
      pod('p', { labels: { x: '1' } }, bound),
      pod('q', { labels: { x: '1' } }),
      remove(`${at('pods')}?labelSelector=x`, { gracePeriodSeconds: 9 }),
      { path: `${at('pods')}?labelSelector=x` },
      remove(`${at('pods')}?labelSelector=x`, { gracePeriodSeconds: 0 }),
      { path: `${at('pods')}?labelSelector=x` },
    ],
  },
  {
    name: 'deletion: namespaces',
    requests: [
      post('/api/v1/namespaces', { metadata: { name: '{ns}-a', finalizers: [hold] } }),
      remove('/api/v1/namespaces/{ns}-a', { propagationPolicy: 'Foreground' }),
      remove('/api/v1/namespaces/{ns}-a', { propagationPolicy: 'Orphan' }),
      remove('/api/v1/namespaces/{ns}-a', { gracePeriodSeconds: 0 }),
      post('/api/v1/namespaces/{ns}-a/configmaps', { metadata: { name: 'late' } }),
      { path: '/api/v1/namespaces/{ns}-a' },
      patch('merge', '/api/v1/namespaces/{ns}-a', { metadata: { finalizers: null } }),
      {
        method: 'PUT',
        path: '/api/v1/namespaces/{ns}-a/finalize',
        body: { metadata: { name: '{ns}-a' }, spec: {} },
        only: 'spec',
      },
      { path: '/api/v1/namespaces/{ns}-a' },
      remove('/api/v1/namespaces'),
    ],
  },
];
