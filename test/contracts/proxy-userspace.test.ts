import { systemExec } from '#base';
import { createUserspaceProxy } from '../../net/proxies/userspace.ts';
import { askCode, backendsCode, proxyContract } from './proxy.ts';

const second = 100 + (process.pid % 50); // an address range of this process's own
const backends = [2, 3, 4].map((last) => ({ ip: `127.${second}.0.${last}`, name: `b${last}` }));

proxyContract('userspace', async () => {
  const child = Bun.spawn([process.execPath, '-e', backendsCode(backends)], { stdout: 'pipe', stderr: 'inherit' });
  for await (const chunk of child.stdout) if (new TextDecoder().decode(chunk).includes('ready')) break;
  return {
    make: () => createUserspaceProxy({ nodeAddresses: [`127.${second}.9.9`] }),
    virtuals: [`127.${second}.1.1`, `127.${second}.1.2`],
    nodeAddress: `127.${second}.9.9`,
    nodePort: 30_080,
    podRange: `127.${second}.0.0/24`,
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
