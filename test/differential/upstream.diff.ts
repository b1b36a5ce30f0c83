import { expect, test } from 'bun:test';
import { describe, runDifferential } from './run.ts';
import { upstreamTool } from './servers.ts';

/** Optional tier: it needs upstream's own API server. `bun test --timeout 300000 ./test/differential/upstream.diff.ts` */
const possible = upstreamTool() !== undefined || process.env['UPSTREAM_URL'] !== undefined;
if (!possible) console.log('skipped: the differential test, for want of upstream (set UPSTREAM_TOOL or UPSTREAM_URL)');

test.skipIf(!possible)('answers are upstream’s', async () => {
  const { requests, found, unused } = await runDifferential();
  const open = found.filter(({ reason }) => !reason);
  console.log(`${requests} requests, ${found.length - open.length} accepted differences`);
  expect(open.map(describe)).toEqual([]);
  expect(unused).toEqual([]);
});
