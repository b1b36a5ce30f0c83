import { expect, test } from 'bun:test';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountPoints, systemFiles } from '#base';
import type { VolumeCall, VolumeDriver } from '#sdk';
import { until } from '../../../test/fixtures/eventually.ts';
import { rejection } from '../../../test/fixtures/rejection.ts';
import { canMount, folderDriver, memoryDriver, volumeNode } from '../../../test/fixtures/volume-plugins.ts';
import { checkMount } from './volumes.ts';

test.each<[string, unknown, string]>([
  ['nothing', null, 'undefined is neither folder nor memory'],
  ['a path of the host', { type: 'hostPath', path: '/etc' }, '"hostPath" is neither folder nor memory'],
  ['a way up', { type: 'folder', name: '..' }, '".." is no name of a folder'],
  ['a way up and down', { type: 'folder', name: 'a/../../etc' }, '"a/../../etc" is no name'],
  ['a path', { type: 'folder', name: '/etc' }, '"/etc" is no name'],
  ['no name', { type: 'folder', name: '' }, '"" is no name'],
  ['an option', { type: 'folder', name: '--bind' }, '"--bind" is no name'],
  ['a line more', { type: 'folder', name: 'a\nb' }, '"a\\nb" is no name'],
  ['options of mount', { type: 'folder', name: 'a', options: 'suid' }, 'a folder has no "options"'],
  ['a target', { type: 'folder', name: 'a', target: '/etc' }, 'a folder has no "target"'],
  ['a size that is text', { type: 'memory', sizeBytes: '1m,mode=0777' }, 'sizeBytes must be from'],
  ['all memory', { type: 'memory', sizeBytes: 1e15 }, 'sizeBytes must be from'],
  ['a flag that is text', { type: 'memory', sizeBytes: 4096, readOnly: 'rw' }, 'readOnly must be true or false'],
])('a driver may not have %s mounted', (_what, said, why) => {
  expect(() => checkMount('d', said)).toThrow(`volume driver d wants what it may not have: ${why}`);
});

const volume: VolumeCall = {
  id: 'uid-1-data',
  pod: { uid: 'uid-1', name: 'p', namespace: 'default' },
  attributes: {},
  secrets: {},
  readOnly: false,
};
const naming = (name: string): VolumeDriver => ({
  ...memoryDriver(new Set(), 'd'),
  publish: () => ({ type: 'folder', name }),
});

test.skipIf(!canMount)('a link in the place of a volume, or of the folder of all, leads nowhere', async () => {
  const node = await volumeNode(() => naming('trap'));
  try {
    const target = join(node.targets, volume.id);
    symlinkSync('/etc', join(node.state, 'volumes', 'trap'));
    expect((await rejection(node.first.publish('d', volume, target))).message).toContain(
      'its folder "trap" cannot be opened',
    );
    Bun.spawnSync(['rm', '-rf', join(node.state, 'volumes')]);
    symlinkSync('/', join(node.state, 'volumes'));
    expect((await rejection(node.first.publish('d', volume, target))).message).toContain('cannot be opened');
    expect(await mountPoints(target, systemFiles)).toEqual([]);
  } finally {
    node.close();
  }
});

test.skipIf(!canMount)('a folder is mounted without devices and set-user-id programs', async () => {
  const node = await volumeNode((state) => folderDriver(state));
  const target = join(node.targets, volume.id);
  try {
    await node.first.publish(node.driver.name, volume, target);
    const line = (await systemFiles.readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .find((one) => one.includes(target));
    expect(line).toContain('nosuid,nodev');
    writeFileSync(join(target, 'from-the-pod'), 'x');
    expect(node.contributor.asked).toContain('volume.stage');
  } finally {
    await node.first.unpublish(node.driver.name, volume.id, target);
    node.close();
  }
});

test('a driver that hangs is waited for until its limit; one that comes back gives back what pods left behind', async () => {
  const held = new Set(['gone-1-data', 'here-1-data']);
  const node = await volumeNode(
    () => memoryDriver(held, 'd'),
    async () => new Set(['here-1-data']),
  );
  try {
    await until(() => held.size === 1);
    expect([...held]).toEqual(['here-1-data']);
    node.contributor.hang();
    const target = join(node.targets, 'x');
    mkdirSync(target);
    expect((await rejection(node.first.unpublish('d', 'here-1-data', target))).message).toContain('gave no answer');
    node.contributor.crash();
    held.add('gone-2-data');
    await node.contributor.begin();
    await until(() => !held.has('gone-2-data'));
    await node.contributor.leave();
    await node.first.unpublish('d', 'here-1-data', target); // nobody is there to be told
    expect(held.size).toBe(1);
  } finally {
    node.close();
  }
});
