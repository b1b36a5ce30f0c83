import type { VolumeCall } from './plugin/contributions.ts';

/** The volume drivers of a node, which come and go; what is mounted stays. */
export interface PodVolumeDrivers {
  has(driver: string): boolean;
  /** When it resolves the volume is mounted at `target`, a folder that is made when it is missing. Safe to repeat; a mounted one is not asked for again. */
  publish(driver: string, volume: VolumeCall, target: string): Promise<void>;
  /** When it resolves nothing is mounted at `target`, and the driver knows. Of a driver that is gone it is unmounted alone. */
  unpublish(driver: string, id: string, target: string): Promise<void>;
}
