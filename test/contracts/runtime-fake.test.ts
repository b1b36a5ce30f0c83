import { systemClock, systemRandom } from '#base';
import { createFakeRuntime } from '../../core/kubelet/runtimes/fake.ts';
import { runtimeContract } from './runtime.ts';

runtimeContract('fake', async () => {
  const runtime = createFakeRuntime({ clock: systemClock, random: systemRandom });
  return { make: async () => runtime, image: 'pintle/test:local', forgetful: true };
});
