import { expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Home } from './home.ts';
import { lockForLife, supervisorRuns, tryLock } from './lock.ts';
import { waitUntil } from './processes.ts';

test('one holder at a time; a child does not inherit it; the end of the process gives it back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-lock-'));
  try {
    mkdirSync(join(folder, 'run'));
    const home = new Home(folder);
    const first = tryLock(home, 'supervisor');
    expect(first).toBeDefined();
    expect(tryLock(home, 'supervisor')).toBeUndefined();
    expect(tryLock(home, 'change')).toBeDefined();
    const child = Bun.spawn(['sleep', '30'], { detached: true });
    first?.[Symbol.dispose]();
    let second: Disposable | undefined; // a child between fork and exec still holds it for a moment
    expect(await waitUntil(() => (second ??= tryLock(home, 'supervisor')) !== undefined, 2_000)).toBe(true);
    child.kill('SIGKILL');
    second?.[Symbol.dispose]();
    const holder = `import { lockForLife, supervisorRuns, tryLock } from '${import.meta.dir}/lock.ts'; import { Home } from '${import.meta.dir}/home.ts';
      console.log(tryLock(new Home('${folder}'), 'supervisor') !== undefined); await Bun.sleep(60_000);`;
    const other = Bun.spawn([process.execPath, '-e', holder], { stdout: 'pipe' });
    const { value } = await other.stdout.getReader().read();
    expect(new TextDecoder().decode(value).trim()).toBe('true');
    expect(tryLock(home, 'supervisor')).toBeUndefined();
    other.kill('SIGKILL');
    await other.exited;
    expect(tryLock(home, 'supervisor')).toBeDefined();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('who looks whether a supervisor is there does not keep one from starting', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-lock-'));
  try {
    mkdirSync(join(folder, 'run'));
    const home = new Home(folder);
    const look = tryLock(home, 'supervisor')!; // what supervisorRuns() holds while it looks
    const supervisor = lockForLife(home);
    look[Symbol.dispose]();
    using lock = await supervisor;
    expect(lock).toBeDefined();
    expect(supervisorRuns(home)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
