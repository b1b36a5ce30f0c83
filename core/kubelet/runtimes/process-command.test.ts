import { expect, test } from 'bun:test';
import { commandOf, refusals } from './process-command.ts';

const image = {
  names: ['i'],
  entrypoint: ['/bin/sh', '{root}/run'],
  command: ['default'],
  env: { FROM: 'image', BOTH: 'image' },
  info: { id: 'i', names: ['i'], sizeBytes: 0 },
  root: '/no/such/tree',
  folder: '/no/such',
};
const given = { env: { POD_IP: '127.64.0.1' }, workFolder: '/tmp' };

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

const plain = {
  podUid: 'u',
  podName: 'p',
  podNamespace: 'n',
  name: 'c',
  attempt: 0,
  imageId: 'i',
  image: 'i',
  env: [],
  mounts: [{ hostPath: '/x', containerPath: '/etc/hosts', readOnly: true }],
  tty: false,
  stdin: false,
  stdinOnce: false,
  security: {
    privileged: false,
    readOnlyRoot: false,
    noNewPrivileges: true,
    capabilitiesAdd: [],
    capabilitiesDrop: ['ALL'],
  },
  resources: { cpuShares: 2 },
  specHash: 'h',
};
test('what a child process cannot be given is named', () => {
  expect(refusals(plain, 1000)).toEqual([]);
  expect(
    refusals(
      {
        ...plain,
        mounts: [{ hostPath: '/x', containerPath: '/data', readOnly: false }],
        security: { ...plain.security, privileged: true, runAsUser: 5 },
        resources: { memoryLimitBytes: 1 },
      },
      0,
    ),
  ).toEqual([
    'a volume at /data',
    'privileged mode',
    'allowPrivilegeEscalation: false while running as root',
    'the user 5',
    'dropped capabilities while running as root',
    'a memory limit',
  ]);
});
