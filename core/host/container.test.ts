import { expect, test } from 'bun:test';
import { type ContainerRun, factsOf, lackingOf, lackingOfProcess, type MadeContainer } from './container.ts';
import { isWeaker, parseManifest } from './manifest.ts';
import type { StepError } from './status.ts';
import { approved } from './verify.ts';

const wanted: ContainerRun = {
  name: 'p',
  host: 'c',
  mounts: [],
  uid: 700_000_001,
  memoryBytes: 64 * 1024 * 1024,
  processesMax: 64,
  openFilesMax: 512,
  network: 'none',
};
const host: MadeContainer['HostConfig'] = {
  ReadonlyRootfs: true,
  Privileged: false,
  NetworkMode: 'none',
  PidMode: '',
  Memory: wanted.memoryBytes,
  PidsLimit: 64,
};
const made = (change: Partial<MadeContainer['HostConfig']> = {}): MadeContainer => ({
  Image: 'sha256:0123456789abcdef',
  HostConfig: { ...host, ...change },
  State: { Pid: 7 },
});

test.each<[Partial<MadeContainer['HostConfig']>, string[]]>([
  [{}, []],
  [{ ReadonlyRootfs: false }, ['a root that is read-only']],
  [{ NetworkMode: 'bridge' }, ['no network']],
  [{ Memory: 0, PidsLimit: null }, ['a memory limit', 'a limit of tasks']],
  [{ Privileged: true }, ['no privileges']],
  [{ CapAdd: ['NET_ADMIN'] }, ['no privileges']],
  [{ PidMode: 'host' }, ['process numbers of its own']],
])('what an engine does not give is seen: %j', (change, lacking) =>
  expect(lackingOf(made(change), wanted)).toEqual(lacking),
);

const status = (change: Readonly<Record<string, string>> = {}): string =>
  Object.entries({
    Uid: ['', ...Array(4).fill('700000001')].join('\t').trim(),
    CapPrm: '0000000000000000',
    CapEff: '0000000000000000',
    CapBnd: '0000000000000000',
    CapAmb: '0000000000000000',
    NoNewPrivs: '1',
    ...change,
  })
    .map(([name, value]) => `${name}:\t${value}\n`)
    .join('');
test.each<[Readonly<Record<string, string>>, string[]]>([
  [{}, []],
  [{ NoNewPrivs: '0' }, ['no_new_privs']],
  [{ CapEff: '0000000000000400' }, ['no capabilities (CapEff 0000000000000400)']],
  [{ CapBnd: '1' }, ['no capabilities (CapBnd 1)']],
  [{ Uid: '0\t0\t0\t0' }, ['user 700000001 (it has 0)']],
  [{ Uid: '' }, ['user 700000001 (it has )']],
])('what its process lacks is seen: %j', (change, lacking) =>
  expect(lackingOfProcess(status(change), wanted.uid)).toEqual(lacking),
);
test('in a user namespace of the engine its number says nothing', () =>
  expect(lackingOfProcess(status({ Uid: '100000\t100000\t100000\t100000' }), undefined)).toEqual([]));

test('facts name the image, the user and the limits', () => {
  expect(factsOf(made(), { ...wanted, image: 'busybox' }, wanted.uid, true)).toEqual([
    'container of busybox (0123456789ab)',
    'own root: read-only; bundle read-only, state writable',
    'network namespace without interfaces',
    'open files 512',
    'uid 700000001',
    'no capabilities',
    'no_new_privs',
    'seccomp filter of the engine',
    "memory 64 MiB and 64 tasks (the engine's cgroup)",
  ]);
  const facts = factsOf(made(), wanted, undefined, false);
  expect([facts[0], facts[4], facts.some((fact) => fact.includes('seccomp'))]).toEqual([
    'container of Bun',
    'user namespace',
    false,
  ]);
});

const levels = ['process', 'sandbox', 'container'] as const;
test.each(levels.flatMap((asked) => [undefined, ...levels].map((given) => [asked, given] as const)))(
  'the manifest says %s, the operator %s: he may raise it, never lower it',
  (asked, given) => {
    const manifest = { needs: {}, provides: {}, resources: [], isolation: asked };
    const level = () =>
      approved({ manifest } as never, { digest: '', version: '', ...(given ? { isolation: given } : {}) });
    if (given && isWeaker(given, asked)) {
      expect(level).toThrow(`spec.isolation may raise the level of the manifest (${asked}), not lower it`);
      const thrown = ((): unknown => {
        try {
          return level();
        } catch (error) {
          return error;
        }
      })();
      expect((thrown as StepError).reason).toBe('WeakerIsolation');
    } else expect(level()).toBe(given ?? asked);
  },
);

const { entry, ...manifest } = {
  formatVersion: 1,
  name: 'x',
  version: '1.0.0',
  sdk: '^1.0',
  entry: 'plugin.js',
  protocol: 2,
  placement: 'cluster',
  isolation: 'container',
  requires: [],
  provides: { controllers: [], validates: [], mutates: [], schedules: [] },
  needs: {},
  resources: [],
  limits: { memoryMiB: 64 },
  files: { 'plugin.js': '0'.repeat(64) },
};
const image = 'registry.example.com:5000/a/b@sha256:00';
test.each<[string, object, string | undefined]>([
  ['a program for Bun in a container', { entry }, undefined],
  ['an image', { container: { image } }, undefined],
  ['an image and a command', { container: { image, command: ['python3', '/plugin/main.py'] } }, undefined],
  ['neither', {}, 'entry must be one of its files'],
  ['both', { entry, container: { image } }, 'entry and container exclude each other'],
  ['a weaker level', { container: { image }, isolation: 'sandbox' }, 'only isolation container has one'],
  ['no image', { container: {} }, 'container.image is no image'],
  ['an option in place of an image', { container: { image: '--privileged' } }, 'container.image is no image'],
  ['a volume', { container: { image, binds: ['/:/x'] } }, 'container must give image, and may give command'],
  ['a command that is text', { container: { image, command: 'sh' } }, 'container.command must list words'],
  ['no words', { container: { image, command: [] } }, 'container.command must list words'],
])('manifest with %s', (_what, change, mistake) => {
  const read = () => parseManifest(JSON.stringify({ ...manifest, ...change }));
  if (mistake === undefined) expect(read()).toMatchObject(change as never);
  else expect(read).toThrow(mistake);
});
