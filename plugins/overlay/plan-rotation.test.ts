import { expect, test } from 'bun:test';
import type { HostLease, OverlayNetwork } from './kinds.ts';
import { requestOf, rotationDue } from './plan-rotation.ts';

const dayMs = 86_400_000;
const startMs = Date.parse('2026-11-21T00:00:00Z');
const lastTime = '2026-11-21T00:00:00Z';
const object = (annotation?: string, hours?: number) => ({
  metadata: annotation === undefined ? {} : { annotations: { 'net.pintle.dev/rotate': annotation } },
  spec: { ranges: [], subnets: [], ...(hours === undefined ? {} : { rotationHours: hours }) },
});
const due = (network: object, lease: object, state: object | undefined, afterMs: number, share = 0) =>
  rotationDue(network as OverlayNetwork, lease as HostLease, state, startMs + afterMs, share);

test('by age, on demand, and not at once', () => {
  const idle = { lastTime, request: '/' };
  expect(due(object(), object(), undefined, dayMs * 9)).toBeUndefined();
  expect(due(object(), object(), idle, dayMs - 1)).toBeUndefined();
  expect(due(object(), object(), idle, dayMs)).toBe('age');
  expect(due(object(), object(), idle, dayMs, 0.5)).toBeUndefined();
  expect(due(object(), object(), idle, dayMs * 1.025, 0.5)).toBe('age');
  expect(due(object(undefined, 0), object(), idle, dayMs * 999)).toBeUndefined();
  expect(due(object(undefined, 1), object(), idle, 3_600_000)).toBe('age');
  expect(due(object('now'), object(), idle, 0)).toBe('asked');
  expect(due(object(), object('now'), idle, 0)).toBe('asked');
  expect(due(object('a'), object('b'), { lastTime, request: 'a/b' }, 0)).toBeUndefined();
  expect(requestOf(object('a') as unknown as OverlayNetwork, object() as unknown as HostLease)).toBe('a/');
});
