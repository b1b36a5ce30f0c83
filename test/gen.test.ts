import { expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { moduleVersion } from '../core/api/gen/generate.ts';

const root = join(import.meta.dir, '..');
const generators = Array.from(new Bun.Glob('{core,plugins,crds}/**/gen/generate.ts').scanSync(root));

/** What is committed equals what its generator makes. Only from modules that are here already: nothing is downloaded. */
const env = { ...process.env, GOPROXY: 'off', GOFLAGS: '-mod=mod' };
const able =
  Bun.which('go') !== null &&
  Bun.spawnSync(['go', 'mod', 'download', `k8s.io/kubernetes@v${moduleVersion}`], { env }).exitCode === 0;
if (!able) console.log('skipped: the generators: Go or its modules are not on this machine');

test.skipIf(!able).each(generators)('%s makes what is committed', (generator) => {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-gen-'));
  try {
    const made = Bun.spawnSync([process.execPath, join(root, generator), folder], {
      env,
    });
    if (made.exitCode !== 0) throw new Error(made.stderr.toString());
    const names = readdirSync(folder);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names)
      expect(
        readFileSync(join(folder, name), 'utf8') === readFileSync(join(root, dirname(generator), name), 'utf8'),
      ).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
