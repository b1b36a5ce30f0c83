import { PintleError, randomSuffix, systemRandom } from '#base';
import { readRunState } from '../components.ts';
import { connect } from '../connect.ts';
import { down } from '../down.ts';
import { openHome } from '../home.ts';
import { makeDemoImages } from '../image.ts';
import { createNodeParts } from '../node-parts.ts';
import { isAlive } from '../processes.ts';
import { createProgress, duration } from '../progress.ts';
import { up } from '../up.ts';
import { demoSteps } from './steps.ts';

/** The guided main job. Starts a cluster of its own (and removes it) when none runs in that home and --yes is given. */
export async function demo(options: { home?: string; yes?: boolean }): Promise<void> {
  const home = openHome(options.home);
  const progress = createProgress();
  const runs = home.exists() && isAlive(readRunState(home)?.supervisor);
  const existed = home.exists();
  if (!runs) {
    if (!options.yes)
      throw new PintleError(
        'NO_CLUSTER',
        `no cluster runs in ${home.folder}`,
        'start one (./pintle up), or let the demo do it: ./pintle demo --yes',
      );
    await up({ home: home.folder, yes: true, detach: true });
  }
  let failed = 0;
  try {
    const config = home.read();
    await progress.step('making the image pintle/demo:local from files of this machine', () =>
      makeDemoImages(home, config),
    );
    const parts = await createNodeParts(home, config);
    const world = {
      client: connect(home, config, 'admin'),
      runtime: parts.runtime,
      namespace: `pintle-demo-${randomSuffix(systemRandom)}`,
      servicePort: config.podCidr.startsWith('127.') ? 8080 : 80,
    };
    for (const step of demoSteps) {
      const start = performance.now();
      try {
        const proved = await step.work(world);
        process.stdout.write(`✓ ${step.title} (${duration(performance.now() - start)})\n    ${proved}\n`);
      } catch (error) {
        failed++;
        process.stdout.write(
          `✗ ${step.title} (${duration(performance.now() - start)})\n    ${error instanceof Error ? error.message : String(error)}\n${error instanceof PintleError ? `    next: ${error.next}\n` : ''}`,
        );
      }
    }
  } finally {
    if (!runs) await down({ home: home.folder, purge: !existed, yes: true });
  }
  process.stdout.write(failed === 0 ? 'Every step passed.\n' : `${failed} of ${demoSteps.length} steps failed.\n`);
  process.exit(failed === 0 ? 0 : 1);
}
