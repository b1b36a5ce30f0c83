// The platform's own definitions: accepted by our server, examples fit them, the code that serves them agrees.
import { expect, test } from 'bun:test';
import { basename, dirname, join } from 'node:path';
import { parse } from 'yaml';
import { Scope } from '#base';
import { pluginStrategy } from '../core/host/api-part.ts';
import type { PluginObject } from '../core/host/kind.ts';
import type { Plugin } from '../crds/gen/plugins.ts';
import { customServer, establish, type Json, type Send } from './fixtures/custom-resources.ts';

const root = join(import.meta.dir, '../crds');
const files = (glob: string) => [...new Bun.Glob(glob).scanSync(root)].sort();
const read = async (file: string) => parse(await Bun.file(join(root, file)).text()) as Json;
const spec = (definition: Json) =>
  definition['spec'] as { group: string; names: { plural: string; kind: string }; versions: { name: string }[] };

/** What the server says to an object of this definition: its mistakes and warnings, or nothing. */
async function saysOf(send: Send, definition: Json, object: Json): Promise<string> {
  const { group, names, versions } = spec(definition);
  const path = `/apis/${group}/${versions[0]!.name}/${names.plural}?dryRun=All`;
  const answer = await send('POST', path, object);
  return answer.code === 201 ? (answer.warning ?? '') : String(answer.body['message']);
}

test.each(files('*/*.yaml'))('%s is accepted, and its examples are', async (file) => {
  await using scope = new Scope();
  const { send } = await customServer(scope);
  const definition = await read(file);
  expect(basename(file, '.yaml')).toBe(spec(definition).names.plural);
  expect(dirname(file)).toBe(spec(definition).group);
  await establish(send, definition);
  const examples = files(`${dirname(file)}/examples/*.yaml`);
  expect(examples.length).toBeGreaterThan(0);
  for (const example of examples) {
    const object = await read(example);
    if (object['kind'] === spec(definition).names.kind)
      expect([example, await saysOf(send, definition, object)]).toEqual([example, '']);
  }
});

test('a Plugin that the server of plugins refuses, its definition refuses', async () => {
  await using scope = new Scope();
  const { send } = await customServer(scope);
  const definition = await read('plugins.pintle.dev/plugins.yaml');
  await establish(send, definition);
  const good = (await read('plugins.pintle.dev/examples/cron.yaml')) as unknown as Plugin & PluginObject;
  const typed: PluginObject = good satisfies Plugin; // the types made from the definition fit those of the code
  expect(pluginStrategy.validate(typed)).toEqual([]);
  const wrong: Json[] = [
    { digest: 'sha256:0' },
    { version: 'one' },
    { isolation: 'none' },
    { dataPolicy: 'Maybe' },
    { paused: 'yes' },
    { hookPriority: 1.5 },
    { failClosed: 'all' },
    { approvedNeeds: { pods: ['*'] } },
  ];
  for (const part of wrong) {
    const object = { ...good, spec: { ...good.spec, ...part } };
    expect([part, pluginStrategy.validate(object as never).length > 0]).toEqual([part, true]);
    expect([part, await saysOf(send, definition, object as unknown as Json)]).not.toEqual([part, '']);
  }
});
