import { expect, test } from 'bun:test';
import type { ClusterTrustBundle, KubeObject } from '#api';
import { bundleText } from './trust-bundles.ts';

const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
const bundle = (name: string, trustBundle: string, signerName?: string, labels?: Record<string, string>) =>
  ({ metadata: { name, labels }, spec: { trustBundle, signerName } }) as ClusterTrustBundle & KubeObject;
const all = [
  bundle('a', `words ${pem('A')}${pem('B')}`, 's/x', { alive: 'true' }),
  bundle('b', pem('B') + pem('C'), 's/x', { alive: 'false' }),
  bundle('c', pem('D'), 's/y'),
];
const path = 'p';

test.each([
  [{ path, name: 'c' }, pem('D')],
  [{ path, signerName: 's/x', labelSelector: {} }, pem('A') + pem('B') + pem('C')],
  [{ path, signerName: 's/x', labelSelector: { matchLabels: { alive: 'true' } } }, pem('A') + pem('B')],
  [{ path, signerName: 's/x', optional: true }, ''],
  [{ path, name: 'none', optional: true }, ''],
])('%j', (projection, text) => expect(bundleText(projection, all)).toBe(text));
test.each([
  [{ path, name: 'none' }, 'clustertrustbundle "none" not found'],
  [{ path, signerName: 's/x' }, 'matched zero ClusterTrustBundles'],
])('%j is missed', (projection, why) => expect(() => bundleText(projection, all)).toThrow(why));
