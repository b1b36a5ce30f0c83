import { expect, test } from 'bun:test';
import { dockerDialect, endedName, FailedStarts, isEndedName, podmanDialect } from './docker-dialect.ts';
import { DockerEngine, EngineError, type InspectedContainer } from './docker-engine.ts';

const nobody = new DockerEngine('/nowhere.sock');
const podman = podmanDialect(
  'Limit                     Soft Limit           Hard Limit           Units\n' +
    'Max processes             96365                96365                processes\n' +
    'Max open files            1024                 20000                files\n',
  '32768\n',
);
const body = (add: string[], drop: string[], Privileged = false) => ({
  Healthcheck: { Test: ['NONE'] },
  HostConfig: { CapAdd: add, CapDrop: drop, Privileged },
});

test('Docker is asked as it is', async () => {
  const plain = body([], []);
  expect(await dockerDialect.adapt(nobody, plain)).toBe(plain);
});

test('Podman is asked for limits that the host has, for any number of processes, and for no health timer', async () => {
  const asked = await podman.adapt(nobody, body([], []));
  expect(asked).toMatchObject({
    HostConfig: {
      Ulimits: [
        { Name: 'nofile', Soft: 20000, Hard: 20000 },
        { Name: 'nproc', Soft: 32768, Hard: 32768 },
      ],
      PidsLimit: -1,
    },
  });
  expect(JSON.parse(JSON.stringify(asked))).not.toHaveProperty('Healthcheck');
  const unlimited = await podmanDialect('Max open files   unlimited  unlimited  files', '').adapt(nobody, body([], []));
  expect((unlimited.HostConfig as unknown as { Ulimits: unknown[] }).Ulimits).toEqual([
    { Name: 'nofile', Soft: 1048576, Hard: 1048576 },
    { Name: 'nproc', Soft: 1048576, Hard: 1048576 },
  ]);
});

test.each([
  ['nothing asked: what Docker grants', body([], []), ['AUDIT_WRITE', 'MKNOD', 'NET_RAW']],
  ['what is dropped stays out', body(['SYS_TIME'], ['CAP_NET_RAW', 'mknod']), ['SYS_TIME', 'AUDIT_WRITE']],
  ['all dropped: only what was added', body(['CHOWN'], ['ALL']), ['CHOWN']],
  ['all added', body(['ALL'], []), ['ALL']],
  ['privileged has them', body([], [], true), []],
])('capabilities with Podman: %s', async (_name, given, wanted) => {
  expect((await podman.adapt(nobody, given)).HostConfig.CapAdd).toEqual(wanted);
});

test('what is so already is told by a status, and by Podman with a cause', () => {
  const improper = new EngineError(500, { cause: 'container state improper', message: 'x' }, '');
  expect(podman.isImproperState(improper)).toBe(true);
  expect(dockerDialect.isImproperState(improper)).toBe(false);
  for (const each of [podman, dockerDialect]) {
    expect(each.isImproperState(new EngineError(409, undefined, 'conflict'))).toBe(true);
    expect(each.isImproperState(new EngineError(500, { message: 'disk full' }, ''))).toBe(false);
    expect(each.isImproperState(new Error('no connection'))).toBe(false);
  }
});

test('an ended sandbox is known by its name', () => {
  expect(endedName('/pintle-c-uid-sandbox-0')).toBe('pintle-c-uid-sandbox-0-ended');
  expect(isEndedName(['/pintle-c-uid-sandbox-0-ended'])).toBe(true);
  expect(isEndedName(['/pintle-c-uid-sandbox-0'])).toBe(false);
});

test('why a start failed is shown while the container has not run, until it is forgotten', () => {
  const failed = new FailedStarts();
  const seen = (Status: string) => ({ Id: 'a', State: { Status, Error: '' } }) as InspectedContainer;
  failed.note('a', 'no such program');
  expect(failed.shown(seen('created')).State.Error).toBe('no such program');
  expect(failed.shown(seen('running')).State.Error).toBe('');
  failed.forget('a');
  expect(failed.shown(seen('created')).State.Error).toBe('');
});
