import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountPoints, systemFiles } from '#base';
import type { PodVolumeDrivers, VolumeCall } from '#sdk';
import { rejection } from '../fixtures/rejection.ts';

export interface VolumeHarness {
  /** A fresh view of the same node: called twice, the second is the next process. */
  make(): PodVolumeDrivers;
  readonly driver: string;
  /** A folder for targets; its own parent is there. */
  readonly folder: string;
  /** Ids that the driver holds now. */
  held(): Promise<readonly string[]>;
  /** The driver answers no more, until `begin`. */
  stop(): void;
  begin(): Promise<void>;
  close(): Promise<void>;
}

/** What every volume driver must do, with real mounts. */
export function volumeContract(name: string, start: () => Promise<VolumeHarness>): void {
  describe(`volume contract: ${name}`, () => {
    let harness: VolumeHarness;
    let drivers: PodVolumeDrivers;
    beforeAll(async () => {
      harness = await start();
      drivers = harness.make();
    });
    afterAll(() => harness?.close());
    let count = 0;
    const volumeOf = (more: Partial<VolumeCall> = {}) => {
      const uid = `pod-${++count}`;
      const pod = { uid, name: `p${count}`, namespace: 'default' };
      const volume: VolumeCall = {
        id: `${uid}-data`,
        pod,
        attributes: { sizeBytes: '1048576' },
        secrets: {},
        readOnly: false,
        ...more,
      };
      return { volume, target: join(harness.folder, volume.id) };
    };
    const mounted = async (target: string) => (await mountPoints(target, systemFiles)).length;

    test('published it is mounted once, however often it is asked for; unpublished it is not, and the driver knows', async () => {
      const { volume, target } = volumeOf();
      await drivers.publish(harness.driver, volume, target);
      writeFileSync(join(target, 'note'), 'kept');
      await drivers.publish(harness.driver, volume, target);
      expect([await mounted(target), readFileSync(join(target, 'note'), 'utf8')]).toEqual([1, 'kept']);
      expect(await harness.held()).toContain(volume.id);
      await drivers.unpublish(harness.driver, volume.id, target);
      await drivers.unpublish(harness.driver, volume.id, target);
      expect([await mounted(target), existsSync(join(target, 'note'))]).toEqual([0, false]);
      expect(await harness.held()).not.toContain(volume.id);
    });
    test('a read-only one takes no writes', async () => {
      const { volume, target } = volumeOf({ readOnly: true });
      await drivers.publish(harness.driver, volume, target);
      expect(() => writeFileSync(join(target, 'note'), 'x')).toThrow(/EROFS|read-only/);
      await drivers.unpublish(harness.driver, volume.id, target);
    });
    test('what is mounted stays while the driver is away, also for the next process; to give it back waits for the driver', async () => {
      const { volume, target } = volumeOf();
      await drivers.publish(harness.driver, volume, target);
      writeFileSync(join(target, 'note'), 'kept');
      harness.stop();
      drivers = harness.make();
      await drivers.publish(harness.driver, volume, target);
      expect([await mounted(target), readFileSync(join(target, 'note'), 'utf8')]).toEqual([1, 'kept']);
      const other = volumeOf();
      expect((await rejection(drivers.publish(harness.driver, other.volume, other.target))).message).toContain(
        'does not run now',
      );
      expect((await rejection(drivers.unpublish(harness.driver, volume.id, target))).message).toContain(
        'does not run now',
      );
      await harness.begin();
      await drivers.publish(harness.driver, other.volume, other.target);
      await drivers.unpublish(harness.driver, other.volume.id, other.target);
      await drivers.unpublish(harness.driver, volume.id, target);
      expect([await mounted(target), await harness.held()]).toEqual([0, []]);
    });
  });
}
