// The commands of the plugin tutorial, as they stand in the document, in one shell; and the programs of all plugin documents.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildPlugin } from '../../core/cmd/plugin-build.ts';
import { repository, runProgram, TestCluster } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const able = Bun.which('kubectl') !== null && Bun.which('unshare') !== null && Bun.which('bash') !== null;
if (!able) skipped('e2e', 'the tutorial', 'needs kubectl, unshare and bash');

interface Block {
  readonly language: string;
  /** The file that it is, for programs. */
  readonly file: string | undefined;
  readonly text: string;
}
const blocksOf = (document: string): Block[] =>
  [
    ...readFileSync(join(repository, 'docs/plugins', document), 'utf8').matchAll(
      /^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm,
    ),
  ].map(([, language, file, text]) => ({ language: language!, file, text: text! }));
/** Each line of the document is somewhere in what was printed, in order; `…` stands for anything. */
function missing(printed: string, wanted: string): string | undefined {
  let rest = printed;
  for (const line of wanted.trim().split('\n')) {
    const pattern = line
      .trim()
      .split('…')
      .map((part) => part.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('[^\\n]*');
    const found = new RegExp(pattern).exec(rest);
    if (!found) return line;
    rest = rest.slice(found.index + found[0].length);
  }
  return undefined;
}

const cluster = new TestCluster();
let place: string;
beforeAll(async () => {
  if (!able) return;
  place = mkdtempSync(join(tmpdir(), 'ptt-'));
  symlinkSync(join(repository, 'pintle'), join(place, 'pintle'));
  await cluster.up('--runtime', 'process'); // the tutorial's own `up` finds it running
}, 60_000);
afterAll(async () => {
  if (!able) return;
  await cluster[Symbol.asyncDispose]();
  rmSync(place, { recursive: true, force: true });
}, 60_000);

const shell = (script: string) =>
  runProgram(['bash', '-euo', 'pipefail', '-c', script], {
    cwd: place,
    env: {
      ...(process.env as Record<string, string>),
      PINTLE_HOME: cluster.home.folder,
      KUBECONFIG: cluster.home.kubeconfig,
    },
    timeoutMs: 240_000,
  });

test.skipIf(!able)(
  'its commands, one after the other, print what it says',
  async () => {
    let printed = '';
    let spentMs = 0;
    const blocks = blocksOf('tutorial.md');
    expect(blocks.filter(({ language }) => language === 'sh').length).toBeGreaterThan(6);
    for (const { language, file, text } of blocks) {
      if (language === 'ts') {
        mkdirSync(dirname(join(place, file!)), { recursive: true });
        writeFileSync(join(place, file!), text);
      } else if (language === 'sh') {
        const startMs = performance.now();
        const { code, out, err } = await shell(text);
        spentMs += performance.now() - startMs;
        printed = out + err;
        if (code !== 0) throw new Error(`exit code ${code} of:\n${text}\n${printed}`);
      } else if (language === 'text') {
        const line = missing(printed, text);
        if (line !== undefined) throw new Error(`the tutorial promises "${line}"; printed was:\n${printed}`);
      }
    }
    console.log(`the tutorial's commands took ${Math.round(spentMs / 1000)} s`);
    expect(spentMs).toBeLessThan(480_000); // ten minutes, less the reading
  },
  600_000,
);

test.skipIf(!able)(
  'every program in the plugin documents compiles and builds',
  async () => {
    const folder = join(repository, 'test/types', `documents-${process.pid}`);
    mkdirSync(folder);
    try {
      let programs = 0;
      for (const document of new Bun.Glob('**/*.md').scanSync(join(repository, 'docs/plugins')))
        for (const { language, text } of blocksOf(document)) {
          if (language !== 'ts') continue;
          programs++;
          const name = text.includes('from "bun:test"') ? 'plugin.test.ts' : 'plugin.ts';
          // A test stands beside the program before it.
          const at = join(folder, String(name === 'plugin.ts' ? programs : programs - 1));
          mkdirSync(at, { recursive: true });
          writeFileSync(join(at, name), text);
        }
      expect(programs).toBeGreaterThan(2);
      const config = { extends: '../../../tsconfig.json', compilerOptions: { noEmit: true }, include: ['.'] };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
      const { code, out } = await runProgram(['bun', 'x', 'tsc', '-p', folder]);
      expect([code, out]).toEqual([0, '']);
      // And each sets itself up: what is registered fits what is declared.
      for (const file of new Bun.Glob('*/plugin.ts').scanSync(folder)) {
        writeFileSync(join(folder, dirname(file), 'panel.ts'), 'export {};'); // one of them has a panel
        await buildPlugin(join(folder, dirname(file)));
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  120_000,
);
