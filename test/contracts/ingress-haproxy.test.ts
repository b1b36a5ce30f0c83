import { test } from 'bun:test';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { programPath, silentLog, spawnDuplex, systemClock, systemFiles } from '#base';
import { createHaproxyDriver } from '../../plugins/ingress/haproxy/driver.ts';
import { findHaproxy } from '../../plugins/ingress/haproxy/program.ts';
import { ingressDriverContract } from './ingress-driver.ts';

const machine = { files: systemFiles, spawn: spawnDuplex, findProgram: programPath };
/** docs/ingress.md says so, too. */
const differences = {
  countsBackends: true, // HAProxy counts by backend and class
  ignoresChunkedBound: true, // it has no bound for a body that it passes on as it comes
  rewrites: ['length and coding'], // RFC 9112, 6.3: the length is dropped, and the connection closed afterwards
};
const found = await findHaproxy(machine);

if ('reason' in found) {
  console.log(`skipped: the contract of ingress drivers with HAProxy: ${found.reason}`);
  test.skip('haproxy', () => {});
} else {
  ingressDriverContract(
    'haproxy',
    async () =>
      createHaproxyDriver({
        program: found.program,
        folder: join(await mkdtemp(join(tmpdir(), 'pintle-haproxy-')), 'data'),
        machine,
        clock: systemClock,
        log: silentLog,
        threads: 2,
        drainMs: 2_000,
        ...(process.getuid?.() === 0 ? { user: { uid: 65_534, gid: 65_534 } } : {}),
      }),
    differences,
  );
}
