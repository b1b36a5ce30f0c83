import { expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog, systemClock, systemExec } from '#base';
import type { ContainerSpec, Mount } from '#sdk';
import { createProcessRuntime } from '../../core/kubelet/runtimes/process.ts';
import { imageFolder } from '../../core/kubelet/runtimes/process-images.ts';
import { probeNamespaces } from '../../core/kubelet/runtimes/process-namespaces.ts';
import { containerSpec } from '../fixtures/container-spec.ts';
import { skipped } from '../fixtures/skipped.ts';
import { runtimeContract } from './runtime.ts';

const image = 'pintle/test:local';
function newHome() {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-process-'));
  const place = imageFolder(folder, image);
  mkdirSync(join(place, 'root'), { recursive: true });
  writeFileSync(
    join(place, 'image.json'),
    JSON.stringify({ names: [image], entrypoint: [], command: ['sh'], env: {} }),
  );
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
const scratch = newHome();
const able = await probeNamespaces(systemExec, scratch.folder, process.getuid!());
scratch.remove();
if (!able)
  skipped('contract', 'process runtime, each container with its own root', 'the kernel gives no mount namespaces here');

for (const namespaces of able ? [true, false] : [false])
  runtimeContract(`process, ${namespaces ? 'each container with its own root' : 'without namespaces'}`, async () => {
    const { folder, remove } = newHome();
    return {
      image,
      make: () => createProcessRuntime({ folder, clusterId: 'test', clock: systemClock, log: silentLog, namespaces }),
      close: async () => remove(),
    };
  });

const spec = (command: string[], mounts: Mount[], more: Partial<ContainerSpec['security']> = {}): ContainerSpec =>
  containerSpec(
    { podUid: 'u', podNamespace: 'n', name: 'main', imageId: image, image, command, mounts },
    { noNewPrivileges: true, ...more },
  );

if (able)
  test('a container has started when it is in its root: what is executed beside it at once runs there, too', async () => {
    const { folder, remove } = newHome();
    const chroot = join(folder, 'slow-chroot'); // a busy machine
    writeFileSync(chroot, '#!/bin/sh\nsleep 0.5\nexec chroot "$@"\n', { mode: 0o755 });
    const given = { folder, clusterId: 'test', clock: systemClock, log: silentLog };
    const runtime = await createProcessRuntime({ ...given, namespaces: { ...able, chroot } });
    try {
      await runtime.ensureSandbox({
        podUid: 'u',
        podName: 'p',
        podNamespace: 'n',
        hostname: 'h',
        network: 'pod',
        attempt: 0,
      });
      const id = await runtime.create(spec(['sleep', '1000'], []));
      await runtime.start(id);
      const session = await runtime.exec(id, { command: ['ls', '-d', '/.pintle'], tty: false, stdin: false });
      expect(await Bun.readableStreamToText(session.stdout)).toBe('/.pintle\n');
      expect((await session.done).code).toBe(0);
    } finally {
      await runtime.removeSandbox('u');
      await runtime[Symbol.asyncDispose]();
      remove();
    }
  });

/** Runs a container to its end; what it and an exec beside it said. */
async function outcome(container: (folder: string) => ContainerSpec, beside?: string[]) {
  const { folder, remove } = newHome();
  const runtime = await createProcessRuntime({ folder, clusterId: 'test', clock: systemClock, log: silentLog });
  try {
    await runtime.ensureSandbox({
      podUid: 'u',
      podName: 'p',
      podNamespace: 'n',
      hostname: 'pod-name',
      network: 'pod',
      attempt: 0,
    });
    const id = await runtime.create(container(folder));
    await runtime.start(id);
    let execSaid = '';
    if (beside)
      execSaid = await Bun.readableStreamToText(
        (await runtime.exec(id, { command: beside, tty: false, stdin: false })).stdout,
      );
    if (beside) await runtime.stop(id, 0);
    const lines: string[] = [];
    for await (const line of runtime.logs(id, { follow: true }, new AbortController().signal))
      lines.push(new TextDecoder().decode(line.bytes).trimEnd());
    return { lines, execSaid, file: readFileSync(join(folder, 'data', 'file'), 'utf8') };
  } finally {
    await runtime.removeSandbox('u');
    remove();
  }
}
function volumes(folder: string): Mount[] {
  mkdirSync(join(folder, 'data'));
  mkdirSync(join(folder, 'config'));
  writeFileSync(join(folder, 'data', 'file'), 'before');
  writeFileSync(join(folder, 'config', 'key'), 'value');
  writeFileSync(join(folder, 'one-file'), 'hosts of the pod');
  return [
    { hostPath: join(folder, 'data'), containerPath: '/data', readOnly: false },
    { hostPath: join(folder, 'config'), containerPath: '/etc/pintle-test/config', readOnly: true },
    { hostPath: join(folder, 'config'), containerPath: '/data/inner', readOnly: false },
    { hostPath: join(folder, 'one-file'), containerPath: '/etc/hosts', readOnly: false },
  ];
}

test.if(Boolean(able))('volumes are where the pod wants them, and nothing of that is seen on the host', async () => {
  const { lines, execSaid, file } = await outcome(
    (folder) =>
      spec(
        [
          'sh',
          '-c',
          'cat /etc/hosts; echo; cat /etc/pintle-test/config/key; echo; echo x >/etc/pintle-test/config/key || echo refused; cat /data/inner/key; echo; uname -n; id -u; echo -n after >/data/file; exec sleep 1000',
        ],
        volumes(folder),
      ),
    [
      'sh',
      '-c',
      'while [ "$(cat /data/file)" != after ]; do :; done; cat /data/inner/key; pwd; uname -n; grep CapEff /proc/self/status',
    ],
  );
  expect(lines.filter((line) => line && !line.includes('Read-only'))).toEqual([
    'hosts of the pod',
    'value',
    'refused',
    'value',
    'pod-name',
    String(process.getuid!()),
  ]);
  expect(execSaid).toContain('value/.pintle/work\npod-name\n');
  if (process.getuid!() !== 0) expect(execSaid).toContain('CapEff:\t0000000000000000');
  expect(file).toBe('after');
  expect((await systemExec.run(['ls', '/etc/pintle-test'])).code).not.toBe(0);
});

test.if(Boolean(able))('a read-only root: only volumes can be written', async () => {
  const { lines } = await outcome((folder) =>
    spec(
      [
        'sh',
        '-c',
        'for f in /data/file /x /tmp/pintle-test-x $HOME/x; do if echo -n y >$f; then echo wrote; fi; done 2>&1',
      ],
      volumes(folder),
      {
        readOnlyRoot: true,
      },
    ),
  );
  expect(lines.filter((line) => line === 'wrote')).toEqual(['wrote']);
});

test.if(Boolean(able) && process.getuid!() === 0)('as root: user, groups and capabilities are the pod’s', async () => {
  const command = ['sh', '-c', 'id; grep -E "CapBnd|NoNewPrivs" /proc/self/status; touch $HOME/mine && echo own'];
  const { lines } = await outcome((folder) =>
    spec(command, volumes(folder), {
      runAsUser: 12345,
      runAsGroup: 23456,
      supplementalGroups: [34567],
      capabilitiesDrop: ['ALL'],
      capabilitiesAdd: ['NET_BIND_SERVICE'],
    }),
  );
  expect(lines).toEqual([
    'uid=12345 gid=23456 groups=23456,34567',
    'CapBnd:\t0000000000000400',
    'NoNewPrivs:\t1',
    'own',
  ]);
});
