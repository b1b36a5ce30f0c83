import { expect, test } from 'bun:test';
import { readKubeconfig } from './kubeconfig.ts';

const text = `
current-context: one
clusters: [{ name: c, cluster: { server: 'https://h:1', certificate-authority-data: ${btoa('PEM')} } }]
users: [{ name: u, user: { token: t } }]
contexts: [{ name: one, context: { cluster: c, user: u, namespace: ns } }]
`;
test('reads the current context', () => {
  expect(readKubeconfig(text, { path: 'f' })).toMatchObject({
    server: 'https://h:1',
    ca: 'PEM',
    token: 't',
    namespace: 'ns',
  });
});
test('a broken file says what is wrong and what to do', () => {
  expect(() => readKubeconfig(text, { path: 'f', context: 'two' })).toThrow('it has no context "two"');
  expect(() => readKubeconfig('a: [', { path: 'f' })).toThrow('cannot be used');
});
