import { expect, test } from 'bun:test';
import { statusOf } from './status.ts';

const at = [{ ip: '192.0.2.1' }];
test.each([
  ['all is well', [], [{ ip: '192.0.2.1' }]],
  ['what is only told', ['UnknownAnnotation'], [{ ip: '192.0.2.1' }]],
  [
    'the first error of each port',
    ['Conflict', 'BackendNotFound', 'CertificateNotUsable'],
    [
      {
        ip: '192.0.2.1',
        ports: [
          { port: 80, protocol: 'TCP', error: 'ingress.pintle.dev/Conflict' },
          { port: 443, protocol: 'TCP', error: 'ingress.pintle.dev/CertificateNotUsable' },
        ],
      },
    ],
  ],
])('%s', (_, reasons, wanted) => {
  expect<unknown>(statusOf(at, reasons.map((reason) => ({ reason, message: '' })) as never)).toEqual(wanted);
});
test('without an address there is nothing to hang it on', () => {
  expect(statusOf([], [{ reason: 'Conflict', message: '' }])).toEqual([]);
});
