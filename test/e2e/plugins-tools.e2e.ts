// The author's chaos on the example, as an author runs it: minutes on a busy machine, so not with the quick tests.
import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { repository } from '../fixtures/pintle.ts';

test('the example passes chaos: killed after each of its writes, stale, merged', async () => {
  const argv = [process.execPath, join(repository, 'plugins/standard/main.ts'), 'plugin', 'test', '--chaos'];
  const child = Bun.spawn([...argv, join(repository, 'examples/cron-plugin')], { stdout: 'pipe', stderr: 'pipe' });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect([code, out + err]).toEqual([0, expect.stringContaining('the same end each time')]);
  expect(out).not.toContain('went wrong');
}, 600_000);
