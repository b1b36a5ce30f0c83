import { expect, test } from 'bun:test';
import type { Exec } from '#base';
import { rejection } from '../../test/fixtures/rejection.ts';
import { CniChain, parseCniList, pluginInput } from './chain.ts';

const call = {
  containerId: 'c',
  netnsPath: '/n',
  interfaceName: 'eth0',
  args: {},
  runtimeConfig: { portMappings: [1], bandwidth: { ingressRate: 5 } },
};

test('a list, and a single plugin as a list of one; nonsense is refused', () => {
  expect(parseCniList('{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a"}]}', 'f').plugins).toEqual([
    { type: 'a' },
  ]);
  expect(parseCniList('{"name":"n","type":"a"}', 'f')).toMatchObject({ cniVersion: '0.2.0', plugins: [{ type: 'a' }] });
  expect(() => parseCniList('{"plugins":[]}', 'f')).toThrow('f is no CNI configuration');
});

test('a plugin gets the capabilities that it declares, and the result before it', () => {
  const list = { cniVersion: '1.0.0', name: 'n', plugins: [] };
  expect(pluginInput(list, { type: 'p', capabilities: { portMappings: true } }, call, { ips: [] })).toEqual({
    type: 'p',
    cniVersion: '1.0.0',
    name: 'n',
    runtimeConfig: { portMappings: [1] },
    prevResult: { ips: [] },
  });
});

test('ADD in order, DEL in reverse and to the end, with the plugin error in words', async () => {
  const seen: string[] = [];
  const exec: Exec = {
    async run(argv, options) {
      seen.push(`${options?.env?.['CNI_COMMAND']} ${argv[0]}`);
      return argv[0]!.endsWith('ls') && options?.env?.['CNI_COMMAND'] === 'DEL'
        ? { code: 1, stdout: '{"code":7,"msg":"broken","details":"pipe"}', stderr: '' }
        : { code: 0, stdout: '{"ips":[]}', stderr: '' };
    },
  };
  const chain = new CniChain(
    { cniVersion: '1.0.0', name: 'n', plugins: [{ type: 'sh' }, { type: 'ls' }] },
    ['/bin'],
    exec,
  );
  await chain.add(call);
  expect((await rejection(chain.remove(call, undefined))).message).toMatch(
    'plugin type="ls" failed (del): broken; pipe',
  );
  expect(seen).toEqual(['ADD /bin/sh', 'ADD /bin/ls', 'DEL /bin/ls', 'DEL /bin/sh']);
});
