import { expect, test } from 'bun:test';
import type { Exec } from '#base';
import { rejection } from '../../test/fixtures/rejection.ts';
import { attachmentOf } from '../pods/cni.ts';
import { CniChain, CniError, parseCniList, pluginInput } from './chain.ts';

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

const answering = (answers: Record<string, string>, seen: object[] = []): Exec => ({
  async run(_argv, options) {
    seen.push(JSON.parse(options?.stdin ?? '{}') as object);
    const answer = answers[options?.env?.['CNI_COMMAND'] ?? ''];
    return answer === undefined ? { code: 0, stdout: '', stderr: '' } : { code: 1, stdout: answer, stderr: 'panic: x' };
  },
});
const chainOf = (cniVersion: string, exec: Exec) =>
  new CniChain({ cniVersion, name: 'n', plugins: [{ type: 'sh' }] }, ['/bin'], exec);
const refusal = (code: number) => JSON.stringify({ code, msg: 'no', details: '' });

test('versions: the newest that both speak; what comes after is refused, and so is a nameless plugin', () => {
  const list = (text: object) => parseCniList(JSON.stringify({ name: 'n', plugins: [{ type: 'a' }], ...text }), 'f');
  expect(list({ cniVersions: ['0.4.0', '1.1.0', '9.0.0'], cniVersion: '1.0.0' }).cniVersion).toBe('1.1.0');
  expect(() => list({ cniVersion: '2.0.0' })).toThrow('f wants CNI 2.0.0; 0.1.0 to 1.1.0 are spoken');
  expect(() => list({ plugins: [{ type: 'a' }, {}] })).toThrow('plugin 2 has no type');
  expect(() => list({ name: '../x' })).toThrow('no name of a network');
  expect(() => list({ plugins: [{ type: '../sh' }] })).toThrow('plugin 1 has no type');
  expect(() => parseCniList('{', 'f')).toThrow('f is no CNI configuration');
});

test('an attachment is given up when a plugin says so, not when the plugin breaks', async () => {
  expect(await chainOf('1.0.0', answering({ CHECK: refusal(100) })).check(call, {})).toBe(false);
  expect(await chainOf('1.0.0', answering({ CHECK: '' })).check(call, {})).toBe(true);
  expect(await chainOf('0.3.1', answering({ CHECK: refusal(100) })).check(call, {})).toBe(true);
});

test('what is gone already is removed; GC and STATUS are for those who know them', async () => {
  await chainOf('1.0.0', answering({ DEL: refusal(3) })).remove(call, undefined);
  const seen: object[] = [];
  const valid = [{ containerId: 'c', interfaceName: 'eth0' }];
  await chainOf('1.0.0', answering({}, seen)).collect(valid);
  expect(seen).toEqual([]);
  await chainOf('1.1.0', answering({}, seen)).collect(valid);
  expect(seen).toMatchObject([{ 'cni.dev/valid-attachments': [{ containerID: 'c', ifname: 'eth0' }] }]);
  await chainOf('1.0.0', answering({ STATUS: refusal(50) })).status();
  const refused = await rejection(chainOf('1.1.0', answering({ STATUS: refusal(50) })).status());
  expect(refused).toBeInstanceOf(CniError);
  await chainOf('1.1.0', answering({ STATUS: refusal(4) })).status(); // it does not know the question
});

test('before 0.4.0 a DEL has no result; addresses of before 0.3.0 are read, those of the host are not the pod’s', async () => {
  const seen: object[] = [];
  await chainOf('0.3.1', answering({}, seen)).remove(call, { ips: [] });
  expect(seen).not.toMatchObject([{ prevResult: {} }]);
  expect(attachmentOf({ ip4: { ip: '10.1.0.2/24', gateway: '10.1.0.1' } })).toEqual({
    ips: ['10.1.0.2'],
    gateway: '10.1.0.1',
  });
  const interfaces = [{ name: 'br0' }, { name: 'eth0', sandbox: '/run/netns/x' }];
  const ips = [
    { address: '10.1.0.1/24', interface: 0 },
    { address: '10.1.0.2/24', interface: 1 },
  ];
  expect(attachmentOf({ interfaces, ips }).ips).toEqual(['10.1.0.2']);
});
