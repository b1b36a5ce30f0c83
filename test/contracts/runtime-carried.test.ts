import { systemClock, systemRandom } from '#base';
import { plugin } from '#sdk';
import { NodeContributions } from '../../core/host/carried/contributions.ts';
import { CarriedRuntimes } from '../../core/host/carried/runtimes.ts';
import { createFakeRuntime } from '../../core/kubelet/runtimes/fake.ts';
import { contribute } from '../fixtures/contributor.ts';
import { runtimeContract } from './runtime.ts';

runtimeContract('of a plugin', async () => {
  const engine = createFakeRuntime({ clock: systemClock, random: systemRandom });
  const contributions = new NodeContributions();
  const runtimes = new CarriedRuntimes({ contributions, own: [], isPodNetns: async () => true });
  const setup = () =>
    plugin({
      name: 'engines',
      version: '1.0.0',
      sdk: '^1.0',
      placement: 'every-node',
      setup: ({ runtime }) => runtime({ name: 'play', open: () => engine }),
    });
  const contributor = await contribute(contributions, setup, { isolation: 'process' });
  return {
    make: async () => runtimes.get('play')!,
    image: 'pintle/test:local',
    forgetful: true,
    close: () => contributor.leave(),
  };
});
