import { describe, expect, test } from 'bun:test';
import { systemExec } from '#base';
import { createSourceLimit } from '../../net/nft/source-limit.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = process.getuid?.() !== 0 ? 'needs root' : Bun.which('nft') ? '' : 'nft not found';
if (unfit) skipped('net', 'limits of senders', unfit);
const must = async (...argv: string[]): Promise<string> => {
  const result = await systemExec.run(argv);
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
  return result.stdout;
};
const port = 5_300;
const sentOfOne = 3_000;
/** Counts datagrams by their sender until nothing has come for a while, and prints the counts. */
const count = `const counts = {}; let timer; const end = () => { console.log(JSON.stringify(counts)); process.exit(0); };
await Bun.udpSocket({ hostname: process.argv[1], port: ${port}, socket: { data(_, bytes, from, address) {
  counts[address] = (counts[address] ?? 0) + 1; clearTimeout(timer); timer = setTimeout(end, 500); } } });
console.log('ready');`;
const send = `const [own, to, times, everyMs] = process.argv.slice(1);
const socket = await Bun.udpSocket({ hostname: own });
for (let n = 0; n < Number(times); n++) { while (!socket.send('x', ${port}, to)) await Bun.sleep(0); if (Number(everyMs)) await Bun.sleep(Number(everyMs)); }
socket.close();`;

describe.skipIf(unfit !== '')('datagrams of one sender', () => {
  test.each([
    ['10.1.0.1', '10.1.0.2', '10.1.0.3', '10.1.0.0/24'],
    ['fd01::1', 'fd01::2', 'fd01::3', 'fd01::/64'],
  ])('to %s end in the kernel above their share; another sender loses none', async (host, loud, quiet, range) => {
    const id = crypto.randomUUID().slice(0, 6);
    const netns = `pt${id}`;
    const inside = (script: string, ...argv: string[]) =>
      Bun.spawn(['ip', 'netns', 'exec', netns, process.execPath, '-e', script, ...argv], { stdout: 'pipe' });
    await must('ip', 'netns', 'add', netns);
    try {
      await must('ip', '-n', netns, 'link', 'set', 'lo', 'up');
      for (const ip of [host, loud, quiet])
        await must('ip', '-n', netns, 'address', 'add', `${ip}/${ip.includes(':') ? 128 : 32}`, 'dev', 'lo');
      const limit = createSourceLimit({
        ...{ tableName: `pt_${id}`, sources: [range], perSecondMax: 100, burstMax: 50 },
        ...{ exec: systemExec, netns: `/run/netns/${netns}` },
      });
      await limit.hold([{ ip: host, port }]);
      const counter = inside(count, host);
      const lines = counter.stdout.pipeThrough(new TextDecoderStream()).getReader();
      expect((await lines.read()).value?.trim()).toBe('ready');
      await Promise.all([
        inside(send, loud, host, `${sentOfOne}`, '0').exited,
        inside(send, quiet, host, '40', '5').exited,
      ]);
      const counts = JSON.parse((await lines.read()).value!) as Record<string, number>;
      expect(counts[quiet]).toBe(40);
      expect(counts[loud]).toBeGreaterThan(10);
      expect(counts[loud]).toBeLessThan(sentOfOne / 2);
      await limit.purge();
      expect(await must('nsenter', `--net=/run/netns/${netns}`, 'nft', 'list', 'tables')).toBe('');
    } finally {
      await systemExec.run(['ip', 'netns', 'delete', netns]);
    }
  });
});
