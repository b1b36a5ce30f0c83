import { expect, test } from 'bun:test';
import { containerSpec } from '../../../test/fixtures/container-spec.ts';
import {
  type Ability,
  commandOf,
  credentialOptions,
  hostSight,
  leftOut,
  ownSight,
  refusals,
} from './process-command.ts';

const image = {
  names: ['i'],
  entrypoint: ['/bin/sh', '{root}/run'],
  command: ['default'],
  env: { FROM: 'image', BOTH: 'image' },
  info: { id: 'i', names: ['i'], sizeBytes: 0 },
  root: '/no/such/tree',
  folder: '/no/such',
};
const given = { env: { POD_IP: '127.64.0.1' }, sight: hostSight(image, '/tmp') };

test.each([
  ['nothing: the image decides', {}, ['/bin/sh', '/no/such/tree/run', 'default']],
  ['args replace the image arguments', { args: ['x'] }, ['/bin/sh', '/no/such/tree/run', 'x']],
  ['command replaces both', { command: ['/bin/sh'] }, ['/bin/sh']],
  ['command and args', { command: ['/bin/sh'], args: ['-c'] }, ['/bin/sh', '-c']],
])('%s', (_name, spec, argv) => {
  const command = commandOf({ env: [['BOTH', 'pod']], ...spec }, image, given);
  expect(command).toMatchObject({ argv, cwd: '/tmp', env: { FROM: 'image', BOTH: 'pod', POD_IP: '127.64.0.1' } });
});

test.each([
  [{ command: ['/no/program'] }, 'exec: "/no/program": stat /no/program: no such file or directory'],
  [{ command: ['no-such-program'] }, 'exec: "no-such-program": executable file not found in $PATH'],
  [{ workingDir: '/no/folder' }, 'chdir to cwd ("/no/folder"): no such file or directory'],
])('%o is refused with %s', (spec, text) => expect(commandOf({ env: [], ...spec }, image, given)).toBe(text));

const plain = containerSpec(
  { mounts: [{ hostPath: '/x', containerPath: '/etc/hosts', readOnly: true }], resources: { cpuShares: 2 } },
  { noNewPrivileges: true, capabilitiesDrop: ['ALL'] },
);
const user: Ability = { userId: 1000, groupIds: [1000, 27], ownRoot: false, setpriv: true };
const root: Ability = { userId: 0, groupIds: [0], ownRoot: true, setpriv: true };
const much = {
  ...plain,
  mounts: [{ hostPath: '/x', containerPath: '/data', readOnly: false }],
  security: { ...plain.security, privileged: true, runAsUser: 5, runAsGroup: 6, supplementalGroups: [27, 28] },
  resources: { memoryLimitBytes: 1 },
};
test.each([
  ['a user, little', plain, user, []],
  [
    'a user',
    much,
    user,
    [
      'a volume at /data (this machine gives no mount namespace)',
      'privileged mode',
      'the user 5',
      'the group 6',
      'the group 28',
      'a memory limit',
    ],
  ],
  [
    'a user with roots',
    { ...much, resources: {} },
    { ...user, ownRoot: true },
    ['privileged mode', 'the user 5', 'the group 6', 'the group 28'],
  ],
  ['root', much, root, ['a memory limit']],
  [
    'root without setpriv',
    much,
    { ...root, setpriv: false },
    [
      'allowPrivilegeEscalation: false',
      'the user 5',
      'the group 6',
      'the group 27',
      'the group 28',
      'dropped capabilities while running as root',
      'a memory limit',
    ],
  ],
] as const)('what a child process of %s cannot be given is named', (_name, spec, able, expected) =>
  expect(refusals(spec, able)).toEqual([...expected]),
);

test('users, groups and capabilities as setpriv takes them', () => {
  expect(credentialOptions(plain.security, 1000)).toEqual(['--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs']);
  expect(credentialOptions({ ...much.security, capabilitiesAdd: ['NET_RAW'] }, 0)).toEqual([
    '--inh-caps=-all',
    '--ambient-caps=-all',
    '--no-new-privs',
    '--bounding-set=-all,+net_raw',
    '--reuid=5',
    '--regid=6',
    '--groups=27,28',
  ]);
});

test('a container with its own root finds programs in its volumes and its image', () => {
  const tree = { ...image, root: '/usr' };
  const sight = ownSight(tree, '/tmp', [{ hostPath: '/bin', containerPath: '/data', readOnly: true }]);
  expect(sight.toHost('/data/sh')).toBe('/bin/sh');
  expect(sight.toHost('/.pintle/work')).toBe('/tmp');
  const made = (command: string[]) => commandOf({ env: [], command }, tree, { env: {}, sight });
  expect(made(['/data/sh'])).toMatchObject({ argv: ['/data/sh'], cwd: '/.pintle/work' });
  expect(made(['env'])).toMatchObject({ argv: ['/.pintle/image/bin/env'] });
  expect(made(['/data/none'])).toBe('exec: "/data/none": stat /data/none: no such file or directory');
});

const tokenPath = '/var/run/secrets/kubernetes.io/serviceaccount';
test.each([
  ['no token is asked for', plain.mounts, user, 0],
  ['no root of its own', [{ hostPath: '/t', containerPath: tokenPath, readOnly: true }], user, 1],
  ['a root of its own', [{ hostPath: '/t', containerPath: tokenPath, readOnly: true }], root, 0],
])('what a program goes without: %s', (_name, mounts, able, count) => {
  expect(leftOut({ ...plain, mounts }, able)).toHaveLength(count);
});
