// Isolation `container`: plugins in containers of a real engine, with the real API server in this process.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { Scope, systemClock } from '#base';
import { pluginContainers } from '../../core/cmd/plugin-containers.ts';
import { pluginKind } from '../../core/host/kind.ts';
import { DockerEngine } from '../../core/kubelet/runtimes/docker-engine.ts';
import { type TestEngine, testEngine } from '../fixtures/docker-engine.ts';
import {
  built,
  type Cluster,
  cluster,
  install,
  isGone,
  note,
  noted,
  phase,
  removePlace,
  statusOf,
  store,
  until,
} from '../fixtures/hook-cluster.ts';
import { skipped } from '../fixtures/skipped.ts';

const limitMs = 120_000;
const found = await testEngine();
const engine = typeof found === 'string' ? undefined : found;
if (typeof found === 'string') skipped('e2e', 'plugins in containers', found);
const made = () =>
  new DockerEngine(engine!.socketPath).call<{ Id: string; Names: string[] }[]>('GET', '/containers/json', {
    query: { all: true },
  });
afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  removePlace();
});
const start = (scope: Scope) =>
  cluster(scope, undefined, { containers: pluginContainers(engine!.socketPath, systemClock) });

test.skipIf(!engine)(
  'a plugin for Bun, raised to a container, with hooks; the facts are in force',
  async () => {
    await using scope = new Scope();
    const to = await start(scope);
    const needs = 'needs: { configmaps: ["create", "validate"] },';
    const bundle = await built(
      'boxed',
      `validate("configmaps", ({ object }: any) => object.data?.bad ? "no" : true); void (async () => { ${note('hello', '"x"')} })();`,
      needs,
      '1.0.0',
      'sandbox',
    );
    await install(to, bundle, { isolation: 'container' });
    const status = await phase(to, 'boxed', 'Active');
    expect(await noted(to, 'hello')).toBe('x');
  },
  limitMs,
);
