import { expect, test } from 'bun:test';
import { bandwidthOf } from './bandwidth.ts';

const annotated = (ingress?: string, egress?: string) =>
  bandwidthOf({
    metadata: {
      annotations: {
        ...(ingress === undefined ? {} : { 'kubernetes.io/ingress-bandwidth': ingress }),
        ...(egress === undefined ? {} : { 'kubernetes.io/egress-bandwidth': egress }),
      },
    },
  });

test('rates are quantities of bits a second; nonsense is refused by name', () => {
  expect(annotated()).toBeUndefined();
  expect(annotated('10M')).toEqual({ ingressBps: 10_000_000 });
  expect(annotated('1Ki', '1P')).toEqual({ ingressBps: 1024, egressBps: 1e15 });
  for (const wrong of ['', 'fast', '10', '-1M', '2P', '10Mbit'])
    expect(() => annotated(undefined, wrong)).toThrow('kubernetes.io/egress-bandwidth');
});
