import { expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dir, '..');
const generators = Array.from(new Bun.Glob('{core,plugins,crds}/**/gen/generate.ts').scanSync(root));

/** What is committed equals what its generator makes. Only from modules that are here already: nothing is downloaded. */
test.each(generators)('%s makes what is committed', (generator) => {
  if (!Bun.which('go')) return console.log(`skipped: ${generator}: Go is not installed`);
  const folder = mkdtempSync(join(tmpdir(), 'pintle-gen-'));
  try {
    const made = Bun.spawnSync([process.execPath, join(root, generator), folder], {
      env: { ...process.env, GOPROXY: 'off', GOFLAGS: '-mod=mod' },
    });
    if (made.exitCode !== 0) {
      const why = made.stderr.toString();
      if (/is not to be had/.test(why))
        return console.log(`skipped: ${generator}: its Go modules are not in the cache`);
      throw new Error(why);
    }
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
