import { silentLog, systemClock, systemExec } from '#base';
import { plugin } from '#sdk';
import { NodeContributions } from '../../core/host/carried/contributions.ts';
import { createCarriedProxy } from '../../core/host/carried/proxy.ts';
import { createUserspaceProxy } from '../../net/proxies/userspace.ts';
import { contribute } from '../fixtures/contributor.ts';
import { askCode, backendsCode, proxyContract } from './proxy.ts';

// Address ranges of this process's own, beside those of proxy-userspace.test.ts.
const second = 150 + (process.pid % 50);
const third = 4 * (Math.floor(process.pid / 50) % 60);
const [pods, services, nodes] = [0, 1, 2].map((offset) => `127.${second}.${third + offset}`);
const backends = [2, 3, 4].map((last) => ({ ip: `${pods}.${last}`, name: `b${last}` }));

/** Gives back what it is given. */
const mirror = () =>
  plugin({
    name: 'mirror',
    version: '1.0.0',
    sdk: '^1.0',
    placement: 'every-node',
    setup: ({ proxy }) => proxy({ name: 'mirror', apply: ({ routes }) => ({ routes }) }),
  });

proxyContract('of a plugin', async () => {
  const child = Bun.spawn([process.execPath, '-e', backendsCode(backends)], { stdout: 'pipe', stderr: 'inherit' });
  for await (const chunk of child.stdout) if (new TextDecoder().decode(chunk).includes('ready')) break;
  const contributions = new NodeContributions();
  const contributor = await contribute(contributions, mirror);
  return {
    make: () =>
      createCarriedProxy({
        own: createUserspaceProxy({ nodeAddresses: [`${nodes}.9`] }),
        contributions,
        clock: systemClock,
        log: silentLog,
      }),
    virtuals: [`${services}.1`, `${services}.2`],
    nodeAddress: `${nodes}.9`,
    nodePort: 30_080,
    podRange: `${pods}.0/24`,
    backends,
    async ask(ip, port, count, protocol) {
      const argv = [process.execPath, '-e', askCode(ip, port, count, protocol)];
      const { code, stdout, stderr } = await systemExec.run(argv);
      if (code !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as Record<string, number>;
    },
    async close() {
      await contributor.leave();
      child.kill('SIGKILL');
      await child.exited;
    },
  };
});
