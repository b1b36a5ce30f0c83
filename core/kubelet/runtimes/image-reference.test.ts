import { expect, test } from 'bun:test';
import { parseImageReference } from './image-reference.ts';

const digest = `sha256:${'a'.repeat(64)}`;
test.each([
  ['busybox', { name: 'busybox', tag: 'latest' }],
  ['busybox:1.36', { name: 'busybox', tag: '1.36' }],
  ['localhost:5000/a/b', { name: 'localhost:5000/a/b', tag: 'latest' }],
  ['registry.k8s.io/e2e-test-images/agnhost:2.53', { name: 'registry.k8s.io/e2e-test-images/agnhost', tag: '2.53' }],
  ['UPPER.example/a', { name: 'UPPER.example/a', tag: 'latest' }],
  [`a@${digest}`, { name: 'a', digest }],
  [`a:1@${digest}`, { name: 'a', digest, tag: '1' }],
  ['', 'invalid reference format'],
  ['a b', 'invalid reference format'],
  ['a:', 'invalid reference format'],
  ['a//b', 'invalid reference format'],
  ['-a', 'invalid reference format'],
  ['a@sha256:short', 'invalid reference format'],
  ['InvalidImage', 'invalid reference format: repository name (library/InvalidImage) must be lowercase'],
])('%s', (image, wanted) => expect(parseImageReference(image)).toEqual(wanted));
