import { skipped } from '../fixtures/skipped.ts';
import { canMount, folderDriver, memoryDriver, volumeNode } from '../fixtures/volume-plugins.ts';
import { type VolumeHarness, volumeContract } from './volume.ts';

const harnessOf = async (make: Parameters<typeof volumeNode>[0]): Promise<VolumeHarness> => {
  const node = await volumeNode(make);
  return {
    make: () => node.drivers(),
    driver: node.driver.name,
    folder: node.targets,
    held: async () => node.driver.list(),
    stop: () => node.contributor.crash(),
    begin: () => node.contributor.begin(),
    close: async () => node.close(),
  };
};
if (canMount) {
  volumeContract('folders', () => harnessOf((state) => folderDriver(state)));
  volumeContract('memory', () => harnessOf(() => memoryDriver(new Set())));
} else skipped('contract', 'volume drivers', 'to mount needs root');
