import { expect, test } from 'bun:test';
import type { ContainerSpec } from '#sdk';
import { containerSpec } from '../../../test/fixtures/container-spec.ts';
import { containerBody, sandboxBody } from './docker-specs.ts';
import { containerState } from './docker-states.ts';

const join = { id: 'S', network: 'pod', pid: 'container', ipc: 'pod' } as const;
const spec = containerSpec({
  podUid: 'u',
  podNamespace: 'n',
  attempt: 2,
  imageId: 'sha256:i',
  image: 'i:1',
  env: [['A', 'x=y']],
  stdinOnce: true,
});
const body = (more: Partial<ContainerSpec>, to = {}, imageUser?: string) =>
  containerBody('k', { ...spec, ...more }, { ...join, ...to }, 0, imageUser) as unknown as Record<string, unknown> & {
    HostConfig: Record<string, unknown>;
  };

test.each([
  ['command replaces the entrypoint and drops the image arguments', { command: ['a'] }, { Entrypoint: ['a'] }],
  ['args alone keep the entrypoint', { args: ['b'] }, { Cmd: ['b'] }],
  ['both', { command: ['a'], args: ['b'] }, { Entrypoint: ['a'], Cmd: ['b'] }],
  ['environment', {}, { Env: ['A=x=y'] }],
  ['stdinOnce needs stdin', {}, { OpenStdin: false, StdinOnce: false }],
])('container: %s', (_name, more, wanted) => expect(body(more)).toMatchObject(wanted));

test('neither command nor args: the image decides', () => {
  expect('Entrypoint' in body({})).toBe(false);
  expect('Cmd' in body({})).toBe(false);
  expect('User' in body({})).toBe(false);
});

test.each([
  [{ runAsUser: 1000 }, undefined, '1000'],
  [{ runAsUser: 0, runAsGroup: 5 }, undefined, '0:5'],
  [{ runAsGroup: 5 }, 'nobody:4', 'nobody:5'],
  [{ runAsGroup: 5 }, undefined, '0:5'],
])('user %o of image %p is %s', (user, imageUser, wanted) =>
  expect(body({ security: { ...spec.security, ...user } }, {}, imageUser)['User']).toBe(wanted),
);

test('resources, security and namespaces reach the engine', () => {
  expect(
    body(
      {
        resources: { cpuShares: 102, cpuQuotaUs: 50_000, memoryLimitBytes: 1e8, oomScoreAdj: -997 },
        security: {
          ...spec.security,
          readOnlyRoot: true,
          noNewPrivileges: true,
          seccompUnconfined: true,
          capabilitiesAdd: ['NET_ADMIN'],
          capabilitiesDrop: ['ALL'],
          supplementalGroups: [7],
        },
        mounts: [
          { hostPath: '/h', containerPath: '/c', readOnly: true, propagation: 'HostToContainer' },
          { hostPath: '/', containerPath: '/host', readOnly: false, propagation: 'None' },
        ],
      },
      { pid: 'pod' },
    ).HostConfig,
  ).toMatchObject({
    NetworkMode: 'container:S',
    IpcMode: 'container:S',
    PidMode: 'container:S',
    CpuShares: 102,
    CpuPeriod: 100_000,
    CpuQuota: 50_000,
    Memory: 1e8,
    MemorySwap: 1e8,
    OomScoreAdj: 0, // the floor of this call
    ReadonlyRootfs: true,
    SecurityOpt: ['no-new-privileges', 'seccomp=unconfined'],
    CapAdd: ['NET_ADMIN'],
    CapDrop: ['ALL'],
    GroupAdd: ['7'],
    Mounts: [
      { Type: 'bind', Source: '/h', Target: '/c', ReadOnly: true, BindOptions: { Propagation: 'rslave' } },
      { Type: 'bind', Source: '/', Target: '/host', ReadOnly: false, BindOptions: {} },
    ],
  });
  expect(body({}, { network: 'host', pid: 'host', ipc: 'host' }).HostConfig).toMatchObject({
    NetworkMode: 'host',
    PidMode: 'host',
    IpcMode: 'host',
  });
});

test('a sandbox has no links, a shareable ipc and only what its pod asked for', () => {
  const sandbox = { podUid: 'u', podName: 'p', podNamespace: 'n', hostname: 'p', network: 'pod', attempt: 0 } as const;
  expect(sandboxBody('k', sandbox, 'pause', -1000)).toMatchObject({
    Hostname: 'p',
    HostConfig: { NetworkMode: 'none', IpcMode: 'shareable', PidMode: '', OomScoreAdj: -998 },
  });
});

test('a failed start is an ended container with code 128 and the engine text', () => {
  const row = { Id: 'x', Names: ['/x'], ImageID: 'i', Image: 'i', Created: 5, State: 'created', Labels: {} };
  const details = {
    Id: 'x',
    Name: '/x',
    Created: '2026-01-01T00:00:00Z',
    Image: 'i',
    Config: { Image: 'i', Tty: false, Hostname: '', Labels: {} },
    State: {
      Status: 'created',
      Pid: 0,
      StartedAt: '0001-01-01T00:00:00Z',
      FinishedAt: '0001-01-01T00:00:00Z',
      ExitCode: 127,
      OOMKilled: false,
      Error: 'no such file',
    },
  };
  expect(containerState(row, details)).toMatchObject({ state: 'exited', exitCode: 128, error: 'no such file' });
  expect(containerState(row, { ...details, State: { ...details.State, Error: '' } }).state).toBe('created');
});
