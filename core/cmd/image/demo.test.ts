import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog, systemClock } from '#base';
import { containerSpec } from '../../../test/fixtures/container-spec.ts';
import { createProcessRuntime } from '../../kubelet/runtimes/process.ts';
import { demoImage, makeDemoImage } from './demo.ts';
import { parseLdd } from './host-files.ts';

test('libraries of a program, by what ldd prints', () => {
  expect(
    parseLdd(
      '\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n\tlibgone.so => not found\n',
    ),
  ).toEqual(['/lib/x/libc.so.6', '/lib64/ld-linux-x86-64.so.2']);
});

test('the demo image runs as a process: its name, its readiness, its environment, its tools', async () => {
  const home = mkdtempSync(join(tmpdir(), 'pintle-demo-'));
  const runtime = await createProcessRuntime({ folder: home, clusterId: home, clock: systemClock, log: silentLog });
  const pod = { podUid: 'demo', podName: 'web-1', podNamespace: 'default' };
  try {
    await makeDemoImage({ home, log: silentLog });
    const { id: imageId } = await runtime.ensureImage(demoImage, 'IfNotPresent', new AbortController().signal);
    const sandbox = await runtime.ensureSandbox({ ...pod, hostname: 'web-1', network: 'pod', attempt: 0 });
    const id = await runtime.create(containerSpec({ ...pod, imageId, image: demoImage, env: [['COLOR', 'green']] }));
    await runtime.start(id);
    for await (const line of runtime.logs(id, { follow: true }, AbortSignal.timeout(10_000)))
      if (new TextDecoder().decode(line.bytes).includes('listens')) break;
    const base = `http://${sandbox.ips?.[0]}:8080`;
    expect(await (await fetch(base)).text()).toBe('web-1\n');
    expect(await (await fetch(`${base}/env`)).text()).toContain('COLOR=green\n');
    await fetch(`${base}/unready`, { method: 'POST' });
    expect((await fetch(`${base}/healthz`)).status).toBe(503);
    const session = await runtime.exec(id, { command: ['sh', '-c', `wget -q -O- ${base}/`], tty: false, stdin: false });
    expect(await Bun.readableStreamToText(session.stdout)).toBe('web-1\n');
    await runtime.stop(id, 5000);
    expect((await runtime.observe('demo')).containers[0]).toMatchObject({ state: 'exited', exitCode: 0 });
  } finally {
    await runtime.removeSandbox('demo');
    rmSync(home, { recursive: true, force: true });
  }
}, 20_000);
