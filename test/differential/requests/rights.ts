import { at, type Exchange, type Scenario } from '../scenario.ts';

const jane = { 'impersonate-user': 'jane' };
const as = (path: string, method = 'GET', headers: Record<string, string> = jane): Exchange => ({
  method,
  path,
  headers,
  body: method === 'POST' || method === 'PUT' || method === 'PATCH' ? {} : undefined,
});
export const rights: readonly Scenario[] = [
  {
    name: 'refusals of somebody without rights',
    requests: [
      as(at('configmaps')),
      as(at('configmaps', 'a')),
      as(at('configmaps', 'a'), 'PUT'),
      as(at('configmaps', 'a'), 'DELETE'),
      as(at('configmaps'), 'DELETE'),
      as(at('configmaps'), 'POST'),
      as('/api/v1/configmaps'),
      as('/api/v1/nodes'),
      as('/api/v1/nodes/n/status', 'PUT'),
      as('/api/v1/namespaces/{ns}'),
      as('/api/v1/namespaces/{ns}', 'DELETE'),
      as(at('leases|coordination.k8s.io/v1')),
      as(at('configmaps', '', '?watch=1')),
      as(at('configmaps', '', '?fieldSelector=metadata.name%3Da')),
      as(at('configmaps', '', '?watch=1&fieldSelector=metadata.name%3Da')),
      as(at('configmaps', '', '?fieldSelector=metadata.name%3Da%2Cdata.x%3Db')),
      as('/api/v1/watch/namespaces/{ns}/configmaps/a'),
      as('/metrics'),
      as('/none'),
      as('/apis/none.example.com/v1/things'),
      as('/version'),
      as('/healthz'),
      as('/api', 'GET', { 'impersonate-user': 'jane', 'impersonate-group': 'none' }),
      as('/api/v1/pods', 'GET', { 'impersonate-user': 'system:serviceaccount:{ns}:default' }),
      as('/api/v1/pods', 'GET', { 'impersonate-group': 'none' }),
      as('/api', 'GET', { authorization: 'Bearer wrong' }),
      as('/api', 'GET', { authorization: 'Basic d3Jvbmc6d3Jvbmc=' }),
      as('/api/v1/pods', 'GET', { authorization: '' }),
      as('/version', 'GET', { authorization: '' }),
      as('/livez', 'GET', { authorization: '' }),
    ],
  },
];
