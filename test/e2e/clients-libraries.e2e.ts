// Stock client libraries against a cluster of the process runtime: small programs, each doing what such programs do.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kubectl } from '../clients/kubectl.ts';
import { clientPrograms } from '../clients/programs.ts';
import { expectOk, runProgram, TestCluster } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const kubectl = Bun.which('kubectl');
if (!kubectl) skipped('e2e', 'client libraries', 'kubectl, which prepares their pods, is not on PATH');
const kept = process.env['PINTLE_TEST_CLIENTS'];
const folder = kept ?? mkdtempSync(join(tmpdir(), 'pl-'));
let cluster: TestCluster;
beforeAll(async () => {
  if (!kubectl) return;
  cluster = new TestCluster();
  await cluster.up('--runtime', 'process');
  expectOk(await cluster.run('image', 'demo'));
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  if (!kept) rmSync(folder, { recursive: true, force: true });
});

test.skipIf(!kubectl).each(clientPrograms.map((program) => [program.name, program] as const))(
  '%s',
  async (name, program) => {
    const absent = program.needs.filter((each) => !Bun.which(each));
    const place = join(folder, name.replace(/\W+/g, '-'));
    const why = absent.length > 0 ? `${absent.join(', ')} not found` : await program.install(place);
    if (why !== undefined) {
      console.log(`skipped: ${name}: ${why}`); // registries are optional everywhere
      return;
    }
    const namespace = `l-${clientPrograms.indexOf(program)}`;
    const k = new Kubectl(cluster, kubectl!, namespace);
    await k.ok(`create namespace ${namespace}`);
    await k.untilField('default', '.metadata.name', 'serviceaccount', 'default');
    await k.ok('run server --image=pintle/demo:local --port=8080');
    await k.ok('wait pod/server --for=condition=Ready --timeout=120s');
    const { code, out, err } = await runProgram(program.argv(place, namespace), { env: k.env(), timeoutMs: 120_000 });
    expect({ code, err: code === 0 ? '' : err, said: out.trim().split('\n').sort() }).toEqual({
      code: 0,
      err: '',
      said: program.steps.map((step) => `ok ${step}`).sort(),
    });
    await k.ok(`delete namespace ${namespace} --timeout=120s`);
  },
  420_000,
);
