import { expect, test } from 'bun:test';
import type { api, KubeObject } from '#sdk';
import { planServices } from './api-services.ts';

const service = (name: string, group: string, managed = 'true') =>
  ({
    metadata: { name, labels: { 'kube-aggregator.kubernetes.io/automanaged': managed } },
    spec: { group },
  }) as unknown as api.APIService & KubeObject;

test.each([
  [['v1'], [], ['v1.a.b'], []],
  [['v1'], [service('v1.a.b', 'a.b')], [], []],
  [['v2'], [service('v1.a.b', 'a.b'), service('v1.c.d', 'c.d')], ['v2.a.b'], ['v1.a.b']],
  [[], [service('v1.a.b', 'a.b', 'onstart')], [], []],
] as const)('versions %j', (versions, present, create, remove) => {
  expect(planServices('a.b', new Set(versions), present)).toEqual({ create: [...create], remove: [...remove] });
});
