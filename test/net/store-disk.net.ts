import { describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StatusError } from '#api';
import { silentLog, systemClock } from '#base';
import { openSqliteStore } from '../../core/store/sqlite.ts';
import type { Store } from '../../core/store/store.ts';
import { waitMsMax } from '../fixtures/eventually.ts';
import { openApiServer } from '../fixtures/open-server.ts';
import { skipped } from '../fixtures/skipped.ts';

const run = (...argv: string[]) => Bun.spawnSync(argv, { stdout: 'ignore', stderr: 'pipe' });
const tools = ['mkfs.ext4', 'mount', 'umount', 'fsfreeze'].every((tool) => Bun.which(tool));
const able = process.getuid?.() === 0 && tools && (await canMount());

async function canMount(): Promise<boolean> {
  try {
    await using _disk = await makeDisk();
    return true;
  } catch {
    return false;
  }
}

/** A file system of its own, 64 MiB in a file. */
async function makeDisk() {
  const folder = await mkdtemp(join(tmpdir(), 'pintle-disk-'));
  const [image, path] = [join(folder, 'image'), join(folder, 'mnt')];
  await mkdir(path);
  await Bun.write(image, '');
  await truncate(image, 64 * 1024 * 1024);
  const must = (...argv: string[]) => {
    const { exitCode, stderr } = run(...argv);
    if (exitCode !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
  };
  must('mkfs.ext4', '-q', '-F', '-m', '0', image);
  must('mount', '-o', 'loop', image, path);
  return {
    path,
    freeze: () => must('fsfreeze', '--freeze', path),
    thaw: () => must('fsfreeze', '--unfreeze', path),
    async [Symbol.asyncDispose]() {
      run('fsfreeze', '--unfreeze', path);
      must('umount', path);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
const openAt = (path: string): Promise<Store> =>
  openSqliteStore({ path: join(path, 'store.db'), clock: systemClock, log: silentLog });

if (!able) skipped('net', 'full and stalled disks', 'it needs root, loop mounts, mkfs.ext4 and fsfreeze');
else
  describe('the disk of the store', () => {
    test('full: writes are refused with 507, reads and deletions go on; freed: writes go on within 2 s', async () => {
      await using disk = await makeDisk();
      const value = crypto.getRandomValues(new Uint8Array(256 * 1024));
      const kept: string[] = [];
      {
        await using store = await openAt(disk.path);
        await store.create('/first', value);
        const filler = join(disk.path, 'filler');
        await Bun.write(filler, new Uint8Array(24 * 1024 * 1024));
        let refused: StatusError | undefined;
        for (let index = 0; index < 200 && !refused; index++)
          await store.create(`/k${index}`, value).then(
            () => kept.push(`/k${index}`),
            (error) => {
              refused = error;
            },
          );
        expect(refused).toMatchObject({ code: 507, reason: 'InsufficientStorage' });
        expect(await store.get(`/k${kept.length}`)).toBeUndefined();
        expect((await store.list('/')).entries.length).toBe(kept.length + 1);
        for (let index = 0; index < 10; index++) await store.delete(kept.pop()!, undefined);
        await rm(filler);
        const freed = systemClock.monotonicMs();
        while (!(await store.create('/after', value).catch(() => undefined))) {
          expect(systemClock.monotonicMs() - freed).toBeLessThan(waitMsMax);
          await systemClock.sleep(50);
        }
        console.log(`disk freed: writes ${Math.round(systemClock.monotonicMs() - freed)} ms later`); // 2 s where it is quiet
      }
      await using store = await openAt(disk.path);
      const { entries } = await store.list('/');
      expect(entries.map(({ key }) => key).sort()).toEqual(['/after', '/first', ...kept].sort());
      expect(entries.every((entry) => Buffer.compare(entry.value, value) === 0)).toBe(true);
    });

    test('stalled: nothing is acknowledged, the API goes on reading; then everything goes on', async () => {
      await using disk = await makeDisk();
      await using store = await openAt(disk.path);
      await using server = await openApiServer({ store });
      const maps = 'http://localhost/api/v1/namespaces/default/configmaps';
      const create = (name: string) =>
        server.fetch(
          new Request(maps, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }),
          }),
        );
      expect((await create('before')).status).toBe(201);
      disk.freeze();
      let acknowledged = 0;
      const pending = Array.from({ length: 5 }, async (_, index) => {
        const answer = await create(`stalled-${index}`);
        acknowledged++;
        return answer.status;
      });
      const end = systemClock.monotonicMs() + 2000;
      let slowestMs = 0;
      while (systemClock.monotonicMs() < end) {
        const start = systemClock.monotonicMs();
        expect((await server.fetch(new Request(`${maps}/before`))).status).toBe(200);
        expect((await server.fetch(new Request(maps))).status).toBe(200);
        slowestMs = Math.max(slowestMs, systemClock.monotonicMs() - start);
        await systemClock.sleep(20);
      }
      expect(acknowledged).toBe(0);
      console.log(`disk stalled: the slowest two reads took ${Math.round(slowestMs)} ms`); // those that wait for it never end
      disk.thaw();
      const thawed = systemClock.monotonicMs();
      expect(await Promise.all(pending)).toEqual([201, 201, 201, 201, 201]);
      console.log(`disk thawed: all written ${Math.round(systemClock.monotonicMs() - thawed)} ms later`);
      const after = await store.list('/registry/core/configmaps/default/');
      expect(after.entries.filter(({ key }) => key.includes('stalled'))).toHaveLength(5);
    });
  });
