import { systemExec } from '#base';
import { createUserspaceProxy } from '../../net/proxies/userspace.ts';
import { askCode, backendsCode, proxyContract } from './proxy.ts';

// Address ranges of this process's own: one for each of 3,000 process ids in a row.
const second = 100 + (process.pid % 50);
const third = 4 * (Math.floor(process.pid / 50) % 60);
const [pods, services, nodes] = [0, 1, 2].map((offset) => `127.${second}.${third + offset}`);
const backends = [2, 3, 4].map((last) => ({ ip: `${pods}.${last}`, name: `b${last}` }));

proxyContract('userspace', async () => {
  const child = Bun.spawn([process.execPath, '-e', backendsCode(backends)], { stdout: 'pipe', stderr: 'inherit' });
  for await (const chunk of child.stdout) if (new TextDecoder().decode(chunk).includes('ready')) break;
  return {
    make: () => createUserspaceProxy({ nodeAddresses: [`${nodes}.9`] }),
    virtuals: [`${services}.1`, `${services}.2`],
    nodeAddress: `${nodes}.9`,
    nodePort: 30_080,
    podRange: `${pods}.0/24`,
    backends,
    async ask(ip, port, count, protocol) {
      const { code, stdout, stderr } = await systemExec.run([
        process.execPath,
        '-e',
        askCode(ip, port, count, protocol),
      ]);
      if (code !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as Record<string, number>;
    },
    async close() {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
});
