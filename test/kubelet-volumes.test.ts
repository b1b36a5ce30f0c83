// Volumes of drivers that plugins bring, through a kubelet on a fake engine and a real API server.
import { expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { podKind, secretKind } from '#api';
import { mountPoints, systemFiles } from '#base';
import { liveDriverVolumes } from '../core/kubelet/volumes/driver-volumes.ts';
import { until } from './fixtures/eventually.ts';
import { key, running, useKubeletNode } from './fixtures/kubelet-node.ts';
import { canMount, folderDriver, volumeNode } from './fixtures/volume-plugins.ts';

const node = useKubeletNode();
const mountsBelow = (folder: string) => mountPoints(folder, systemFiles);
const driver = 'folders.example.com';
const csi = (more: object = {}) => ({ volumes: [{ name: 'data', csi: { driver, ...more } }] });

test.skipIf(!canMount)(
  'a pod waits for its driver with the reason, runs with its volume, and leaves nothing mounted',
  async () => {
    const disks = await volumeNode((state) => folderDriver(state));
    try {
      await disks.contributor.leave();
      await node.start({ isRoot: true, volumeDrivers: disks.first });
      const pod = await node.create('db', csi());
      const uid = pod.metadata.uid!;
      const why = `driver name ${driver} not found in the list of registered CSI drivers`;
      await until(async () => (await node.messages('FailedMount')).some((text) => text?.includes(why)));
      await disks.contributor.begin();
      node.clock.skip(60_000);
      await node.until('db', running);
      const target = join(node.folder, 'pods', uid, 'volumes', 'data');
      writeFileSync(join(target, 'row'), '1');
      expect(readFileSync(join(disks.state, 'volumes', `${uid}-data`, 'row'), 'utf8')).toBe('1');
      expect(await liveDriverVolumes(join(node.folder, 'pods'), systemFiles)).toEqual(new Set([`${uid}-data`]));
      // A node that restarts while the driver is away: the pod runs on with what it has.
      await node.stop();
      disks.contributor.crash();
      await node.start({ isRoot: true, volumeDrivers: disks.drivers() });
      expect(await mountsBelow(node.folder)).toHaveLength(1);
      // Deleted meanwhile, it waits until the driver is told; its data is not touched.
      await node.client.delete(podKind, key('db'));
      await until(async () => (await mountsBelow(node.folder)).length === 0);
      expect(existsSync(join(disks.state, 'volumes', `${uid}-data`, 'row'))).toBe(true);
      await disks.contributor.begin();
      node.clock.skip(60_000);
      await node.gone('db');
      expect(readdirSync(join(disks.state, 'volumes'))).toEqual([]);
      expect(readdirSync(join(node.folder, 'pods'))).toEqual([]);
    } finally {
      disks.close();
    }
  },
);

test.skipIf(!canMount)('attributes, the secret, the group and read-only reach the driver', async () => {
  const seen: unknown[] = [];
  const disks = await volumeNode((state) => {
    const one = folderDriver(state);
    return {
      ...one,
      publish(volume) {
        seen.push([volume.pod.name, volume.attributes, volume.secrets, volume.readOnly]);
        return one.publish(volume);
      },
    };
  });
  try {
    await node.start({ isRoot: true, volumeDrivers: disks.first });
    const metadata = { name: 'disk', namespace: 'default' };
    const data = { password: Buffer.from('wise').toString('base64') };
    await node.client.create(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata, data });
    const more = { volumeAttributes: { size: '1Gi' }, nodePublishSecretRef: { name: 'disk' }, readOnly: true };
    await node.create('reader', { ...csi(more), securityContext: { fsGroup: 2_000 } });
    await node.until('reader', running);
    expect(seen[0]).toEqual(['reader', { size: '1Gi' }, { password: 'wise' }, true]);
    await node.client.delete(podKind, key('reader'));
    await node.gone('reader');
    expect(await mountsBelow(node.folder)).toEqual([]);
  } finally {
    disks.close();
  }
});
